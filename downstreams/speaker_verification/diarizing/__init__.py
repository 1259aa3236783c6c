"""Who speaks when in a long recording, by the embeddings of a trained run: speech, windows, clusters, turns."""
