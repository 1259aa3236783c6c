"""Runs and encoders as folders for others: what is sent, the model card, the hub."""
