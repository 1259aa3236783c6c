"""Distillation: a small student predicts the hidden states of a frozen teacher."""
