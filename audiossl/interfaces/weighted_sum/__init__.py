"""Learnt weighted means of layers, over all of them or in groups."""
