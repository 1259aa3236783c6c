"""data2vec for audio (arXiv:2202.03555): a layer-normalised stem, stacked position convolutions, post-norm blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from audiossl.encoders.waveform.model import WaveformConfig, WaveformEncoder


@dataclass(frozen=True)
class Data2VecConfig(WaveformConfig):
    """The published base model; the large one differs in width and depth alone."""

    conv_norm: Literal["group", "layer"] = "layer"
    position_kernel: int = 95
    position_depth: int = 5
    position_norm: Literal["weight", "batch", "layer"] = "layer"
    normalize: Literal["none", "layer_norm", "huggingface"] = "layer_norm"


class Data2Vec(WaveformEncoder):
    """wav2vec 2.0's encoder with the settings above."""

    Config = Data2VecConfig
