"""Two views of an utterance are told from those of all others: embeddings of voices and sounds without labels."""
