"""wav2vec 2.0 and the models of its shape."""
