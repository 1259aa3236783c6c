"""Several objectives on one encoder."""
