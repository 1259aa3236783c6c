"""From sound files to batches: reading, manifests and loading."""
