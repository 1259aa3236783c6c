"""Metrics: pure functions on predictions, each with a bootstrap interval."""
