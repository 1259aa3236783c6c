"""Other ways to run a frozen encoder, and graphs of it."""
