"""Words and syllables without training: where the hidden states of a frozen encoder change.

`segmenters` are the methods, on the states of one recording. `settings` are what dev chooses from. `framing` makes
boundaries in seconds of them. `study` chooses on dev and tests, and `writing` is its folder. `applying` is a chosen
segmenter on other recordings, and `files` is what it writes.
"""
