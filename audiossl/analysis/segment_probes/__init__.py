"""Probes on segments: what a layer tells of phones, syllables, words or calls, of voices and groups never heard.

`folds` draws who is held out. `fitting` fits a probe with a nested choice of its penalty. `scoring` makes figures with
intervals. `voices` measures and flattens F0. `study` does all of it for several encoders, and `writing` is its folder.
"""
