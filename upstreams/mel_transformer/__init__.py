"""A small pre-norm Transformer on log mel frames at 50 frames a second, for recordings of any length."""
