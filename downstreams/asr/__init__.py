"""Speech recognition by CTC: characters, word pieces, words or phones; transcripts with times, and alignment."""
