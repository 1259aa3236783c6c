"""A learnt query that attends to the layers of each frame."""
