"""Pre-training by telling future frames from others of the utterance: contrastive predictive coding, wav2vec."""
