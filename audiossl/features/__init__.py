"""Hidden states kept on disk, so that a frozen encoder runs once: the feature cache.

An *utterance* is what a manifest row sounds like: a part of a file, in the state that the file is in (`identity`).
A *record* is the bytes of one utterance's hidden states (`codec`).
A *shard* is a file of records with their index (`shards`).
An *entry* is a folder of shards from one encoder in one form. Its key is a hash of all that decides what is in it.
`manage` lists, checks and removes entries. A `Store` is an entry that a process has open. A `FeatureSource` is a store
with the encoder that computes what the store lacks, and gives batches of both.
"""
