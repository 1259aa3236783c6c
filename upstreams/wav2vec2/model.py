"""wav2vec 2.0 (arXiv:2006.11477) and the models of its shape: XLSR-53, XLS-R, MMS, VoxPopuli, UniSpeech."""

from __future__ import annotations

from audiossl.encoders.waveform.model import WaveformEncoder


class Wav2Vec2(WaveformEncoder):
    """The shared waveform encoder as it is."""

    in_transformers = ("wav2vec2", "Wav2Vec2Model")
