"""DistilHuBERT (arXiv:2110.01900): HuBERT's stem and two blocks, trained to predict the hidden states of HuBERT."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.core.ranges import Depth
from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.model import WaveformEncoder


@dataclass(frozen=True)
class DistilHubertConfig(WaveformConfig):
    """HuBERT base with two blocks and no norm between stem and projection."""

    num_layers: Depth = 2
    """Transformer blocks."""
    feature_norm: bool = False
    """Whether the stem's output is layer-normalised before the projection: not here, as published."""
    mask_embedding: bool = False
    """Whether the weights hold a learnt embedding for masked frames: not here, as nothing was masked."""


class DistilHubert(WaveformEncoder):
    """HuBERT's encoder with fewer blocks."""

    Config = DistilHubertConfig
    original_mask = "any_sample"
    in_transformers = ("hubert", "HubertModel")
