"""A page in the browser that answers: what it says, and how it is laid out."""
