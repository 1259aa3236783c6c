"""Upstreams on many tasks: what is to be computed, what was, and what came out."""
