"""Onset, offset and class of calls in recordings of any length, from strong or weak labels."""
