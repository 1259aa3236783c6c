"""A page on this machine to try a trained run with one's own recordings."""
