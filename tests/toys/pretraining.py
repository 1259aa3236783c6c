"""What objectives are tested with: a tiny encoder of waveforms, and the surroundings of a training."""

from __future__ import annotations

from typing import Any

import torch
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.data.config import LoaderConfig
from audiossl.training.objective import Surroundings

DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "feature_dropout", "layer_drop")
TINY_WAVES: dict[str, Any] = {
    "conv_widths": (16,) * 7,
    "position_kernel": 16,
    "position_groups": 2,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_width": 32,
    **dict.fromkeys(DROPOUTS, 0.0),
}


def surroundings(*cuts: Cut) -> Surroundings:
    """Of a training on these rows, where no state is kept."""

    def keep_states(*_: object) -> Any:
        raise AssertionError("No state is asked for.")

    rows = {split: CutSet.from_cuts(cuts) for split in ("train", "dev")}
    return Surroundings(rows, LoaderConfig(), torch.device("cpu"), keep_states)
