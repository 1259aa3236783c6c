"""What an utterance asks for: several slots, which are right together or not at all."""
