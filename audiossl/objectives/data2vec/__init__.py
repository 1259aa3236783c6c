"""Pre-training by predicting the contextual states of a slowly moving copy of the encoder: data2vec, 1 and 2."""
