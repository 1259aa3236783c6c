"""Utterance factors: a vector for a recording that leaves out which units were said (`audiossl.nn.factors`).

`fitting` runs expectation maximisation over the hidden states of recordings, `statistics` keeps what it reads of them.
`fitted` is the model with the units and the encoder that it is of. `applying` gives each row its factors.
"""
