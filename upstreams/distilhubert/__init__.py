"""DistilHuBERT."""
