"""UniSpeech-SAT."""
