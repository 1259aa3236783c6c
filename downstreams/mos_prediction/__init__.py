"""The mean opinion score of a recording: how good listeners find it."""
