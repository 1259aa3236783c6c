"""Encoders of speech on recordings of any bandwidth: resampled, expanded in time, or split into bands."""
