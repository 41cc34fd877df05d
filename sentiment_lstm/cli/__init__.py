"""The command line `sentiment-lstm`."""
