"""The wav2vec 2.0 family: its model, its files, its cards."""
