"""What the Hub shows: baselines, ablations, the model card, and the push."""
