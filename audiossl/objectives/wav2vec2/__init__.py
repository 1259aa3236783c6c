"""Pre-training by telling the quantised features of masked frames from distractors: wav2vec 2.0."""
