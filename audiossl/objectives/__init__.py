"""What encoders are pre-trained by, a folder each."""
