"""Strided convolutions over the layers of each frame."""
