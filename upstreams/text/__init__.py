"""Transcripts by a sentence encoder of transformers, as an upstream."""
