"""Speech recognition by CTC: characters, word pieces, words or phones, with times, and alignment of a text."""
