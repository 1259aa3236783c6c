"""The feature cache: hidden states of a frozen encoder, computed once and read from disk in every later epoch."""
