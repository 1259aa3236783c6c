"""Pre-training by predicting the cluster of masked frames of a speaker beside others: WavLM."""
