"""Small encoders of several views of a recording, on top of frozen encoders."""
