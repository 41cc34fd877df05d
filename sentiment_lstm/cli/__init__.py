"""The command line `sentiment-lstm`: a file a command, which `main` puts together.

What does the work is imported when a command runs: it takes seconds, and help, `--version` and
wrong usage do not need it.
"""
