"""Encoders that another framework has exported: frozen, and run as they are."""
