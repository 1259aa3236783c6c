"""Who speaks when, frame by frame: a probability for each speaker of a recording."""
