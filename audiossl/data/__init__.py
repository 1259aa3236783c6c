"""From sound files to batches: reading, manifests and loading.

A **row** is a line of a manifest, which lhotse calls a cut. An **item** is a row's place in a batch, and in what is
predicted and scored.
"""
