"""TERA, Mockingjay and AudioALBERT: one bidirectional Transformer on spectral frames."""
