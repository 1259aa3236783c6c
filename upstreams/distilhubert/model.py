"""DistilHuBERT (arXiv:2110.01900): HuBERT's stem and two blocks, trained to predict the hidden states of HuBERT."""

from __future__ import annotations

from dataclasses import dataclass

from audiossl.encoders.waveform.model import WaveformConfig, WaveformEncoder


@dataclass(frozen=True)
class DistilHubertConfig(WaveformConfig):
    """HuBERT base with two blocks and no norm between stem and projection."""

    num_layers: int = 2
    feature_norm: bool = False
    mask_embedding: bool = False


class DistilHubert(WaveformEncoder):
    """HuBERT's encoder with fewer blocks."""

    Config = DistilHubertConfig
    original_mask = "any_sample"
