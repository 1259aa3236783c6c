"""HuBERT and the models of its shape."""
