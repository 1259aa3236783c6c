"""The results of a suite as tables and as a site."""
