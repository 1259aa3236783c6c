"""Self-distillation of whole utterances: embeddings of voices and sounds without labels."""
