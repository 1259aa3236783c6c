"""Spectral features as upstreams of one layer: log_mel, spectrogram, fbank, mfcc."""
