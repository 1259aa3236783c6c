"""Scores of segments that need no training: same or different words, ABX, and the likeness of words."""
