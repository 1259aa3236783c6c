"""UniSpeech-SAT (arXiv:2110.05752): HuBERT's encoder, trained with utterance-wise contrasts of speakers."""

from __future__ import annotations

from audiossl.encoders.waveform.model import WaveformEncoder


class UniSpeechSat(WaveformEncoder):
    """HuBERT's encoder."""

    original_mask = "any_sample"
    in_transformers = ("unispeech-sat", "UniSpeechSatModel")
