"""A run for each fold, and one result of all."""
