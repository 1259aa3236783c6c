"""A label for every frame."""
