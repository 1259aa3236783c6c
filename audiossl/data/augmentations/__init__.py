"""Noise, rooms, babble, codecs, bands and levels for training rows. No package beyond the toolkit's own is needed."""
