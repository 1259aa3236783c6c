"""Vectors that a column of the manifest has, as an upstream."""
