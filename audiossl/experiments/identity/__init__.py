"""What decides the result of an experiment: encoder, settings, rows and code, as one key."""
