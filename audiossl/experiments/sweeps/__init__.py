"""Several values of a setting at once, each a run of its own."""
