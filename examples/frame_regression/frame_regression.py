"""A task from outside audiossl: how loud each frame is, by a linear layer on its hidden state.

`pip install examples/frame_regression` makes it the downstream `frame_level`, by the entry point in pyproject.toml.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl import (
    Batch,
    Downstream,
    Interface,
    Loss,
    Metric,
    Monitor,
    Prediction,
    Upstream,
    read_field,
    score_ratio,
)


@dataclass(frozen=True)
class FrameLevelConfig:
    floor_db: float = -60.0
    """Of full scale. Quieter frames count as this quiet."""


class FrameLevel(Downstream):
    Config = FrameLevelConfig
    monitor = Monitor("error_db", "min")
    reads_waveforms = True  # for its targets, so that cached features alone do not do

    def __init__(self, upstream: Upstream, interface: Interface, config: FrameLevelConfig) -> None:
        super().__init__(upstream, interface)
        self.config, self.head = config, nn.Linear(interface.width, 1)

    @classmethod
    def complete(cls, config: FrameLevelConfig, cuts: Iterable[Cut]) -> FrameLevelConfig:
        return config  # nothing depends on the training rows

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Every recording has a level."""

    def errors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T) predicted minus true level in dB, 0 beyond an item's frames; (B,) frames."""
        sequence, lengths = self.sequence(batch)
        size = sequence.shape[1] * self.upstream.stride
        samples = nn.functional.pad(batch.wavs, (0, size))[:, :size].unflatten(1, (-1, self.upstream.stride))
        level_db = 10 * samples.square().mean(dim=-1).clamp(min=10 ** (self.config.floor_db / 10)).log10()
        is_real = torch.arange(sequence.shape[1], device=lengths.device) < lengths[:, None]
        return (20 * self.head(sequence).squeeze(-1) - 30 - level_db) * is_real, lengths

    def loss(self, batch: Batch) -> Loss:
        errors, lengths = self.errors(batch)
        return Loss((errors / 20).square().sum() / lengths.sum(), lengths.sum().float())

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Prediction]:
        errors, lengths = self.errors(batch)
        return [
            {
                "id": cut.id,
                "error_db": float(total / frames),
                "num_frames": int(frames),
                "speaker": read_field(cut, "speaker"),
            }
            for cut, total, frames in zip(batch.cuts, errors.abs().sum(dim=1), lengths, strict=True)
        ]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """error_db: mean absolute error over all frames, with an interval over speakers."""
        frames = [row["num_frames"] for row in predictions]
        totals = [row["error_db"] * row["num_frames"] for row in predictions]
        return {"error_db": score_ratio(totals, frames, [row["speaker"] for row in predictions])}
