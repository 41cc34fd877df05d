"""What a model is worth: predictions, metrics, slices, figures, and the results that hold them."""
