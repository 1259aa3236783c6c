"""BERT on units or frames of another encoder."""
