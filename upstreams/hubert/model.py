"""HuBERT (arXiv:2106.07447) and the models of its shape: mHuBERT, ContentVec, AVES, BirdAVES, MERT."""

from __future__ import annotations

from audiossl.encoders.waveform.model import WaveformEncoder


class Hubert(WaveformEncoder):
    """wav2vec 2.0's encoder. Its original code calls a frame real if any of its samples is."""

    original_mask = "any_sample"
    in_transformers = ("hubert", "HubertModel")
