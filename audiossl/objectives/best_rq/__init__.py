"""BEST-RQ: masked frames are told by labels of a random projection."""
