"""Query by example: which documents a spoken query is said in."""
