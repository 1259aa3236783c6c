"""Discrete units: the clusters of an encoder's hidden states, by which frames become numbers (k-means, HuBERT).

`quantizer` is what is kept of them: the centres, and which layer of which encoder they are of. `fitting` finds them.
`applying` gives each row its numbers. `describing` says how well they agree with labels, phones for instance.
"""
