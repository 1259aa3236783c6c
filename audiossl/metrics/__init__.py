"""Metrics: pure functions on predictions, each with an interval."""
