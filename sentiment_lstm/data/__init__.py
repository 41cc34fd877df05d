"""Reviews from wherever they are, as text and label."""
