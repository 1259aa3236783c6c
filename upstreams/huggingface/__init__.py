"""Audio encoders of the `transformers` package that audiossl has no family of its own for."""
