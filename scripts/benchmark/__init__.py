"""How fast we are beside what else does the job; see `__main__.py`."""
