"""The tutorial that this project began with, as a reference, and what measures against it."""
