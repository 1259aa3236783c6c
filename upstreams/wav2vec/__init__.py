"""wav2vec and vq-wav2vec: convolutions, a quantiser, causal convolutions."""
