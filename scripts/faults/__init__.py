"""What breaks a command is done to it on purpose: see `__main__`."""
