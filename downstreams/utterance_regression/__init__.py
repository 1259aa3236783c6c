"""Numbers for a whole recording: valence, arousal, dominance, severity, mean opinion score."""
