"""Masked prediction on the input of a Transformer: of its units, or of its frames among others of the utterance."""
