"""Pre-training by predicting the cluster of masked frames: HuBERT."""
