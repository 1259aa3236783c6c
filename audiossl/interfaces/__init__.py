"""From the layers of an encoder to one sequence, a folder each."""
