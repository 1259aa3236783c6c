"""data2vec for audio (arXiv:2202.03555): a layer-normalised stem, stacked position convolutions, post-norm blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.core.ranges import Count, Depth
from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.model import WaveformEncoder


@dataclass(frozen=True)
class Data2VecConfig(WaveformConfig):
    """The published base model. The large one differs in width and depth alone."""

    conv_norm: Literal["group", "layer"] = "layer"
    """Norm in the stem: 'layer', over channels in every layer, as published."""
    position_kernel: Count = 95
    """Frames that all position convolutions see together, 19 each as published."""
    position_depth: Depth = 5
    """How many position convolutions follow each other."""
    position_norm: Literal["weight", "batch", "layer"] = "layer"
    """How the position convolutions are normalised: by layer norms between them, as published."""
    normalize: Literal["none", "layer_norm", "huggingface"] = "layer_norm"
    """Waveform as it is, normalised as in training, or as Hugging Face does (eps 1e-7)."""


class Data2Vec(WaveformEncoder):
    """wav2vec 2.0's encoder with the settings above."""

    Config = Data2VecConfig
    in_transformers = ("data2vec-audio", "Data2VecAudioModel")
