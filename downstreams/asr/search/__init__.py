"""Beam search with language models."""
