"""An LSTM sentiment classifier for Amazon reviews as a Hugging Face model package."""
