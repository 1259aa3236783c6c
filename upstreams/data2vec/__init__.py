"""data2vec for audio."""
