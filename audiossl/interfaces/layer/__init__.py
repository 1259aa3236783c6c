"""One layer of an encoder."""
