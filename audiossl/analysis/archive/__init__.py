"""Archives of recordings: an index of what their windows sound like, search, clusters and novelty."""
