"""Each view of a recording finds the other views of it among those of the batch (Pairwise-CL, arXiv:2406.07900).

InfoNCE between every two views, summed over the pairs. No sound is changed: what frozen encoders say of a recording is
what the views have in common. Their hidden states are computed once and read from the feature cache in each epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from audiossl.core.ranges import CountOrZero, Positive
from audiossl.core.types import Batch, Loss
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.upstream import Upstream
from audiossl.nn.contrast import pairwise_losses
from audiossl.nn.standardization import NUM_ROWS, StreamingMoments
from audiossl.training.objective import Objective, RowStates, Surroundings


@dataclass(frozen=True)
class MultiViewObjectiveConfig:
    """How views are compared."""

    temperature: Positive = 0.1
    """Temperature of the softmax over recordings."""
    projection_width: CountOrZero = 64
    """Width of a projection of each view between embedding and comparison, which pre-training alone has. 0 for none."""


class SeesViews(Protocol):
    """An encoder of several views of a recording."""

    views: JoinedUpstream
    sizes: list[int]
    widths: tuple[int, ...]

    def seen(self, layers: Sequence[Tensor]) -> list[Tensor]:
        """What each view sees, (B, 1, D_v), of layers (B, 1, D_l) of all members."""

    def embed(self, seen: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (B, 1, width) of what views see."""

    def set_statistics(self, statistics: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Mean and deviation (D_v,) of what each view sees."""


class MultiViewObjective(Objective):
    """The mean over recordings of the sum over pairs of views."""

    Config = MultiViewObjectiveConfig
    needs = ("views", "sizes", "seen", "embed", "set_statistics")

    def __init__(self, upstream: Upstream, config: MultiViewObjectiveConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config = config or MultiViewObjectiveConfig()
        self._states_of: RowStates | None = None
        width = config.projection_width
        self.projections = nn.ModuleList(
            nn.Linear(size, width) if width else nn.Identity() for size in self.encoder.widths
        )

    @property
    def encoder(self) -> SeesViews:
        """The encoder of views that is trained."""
        return cast(SeesViews, self.upstream)

    @property
    def item_wise(self) -> bool:
        return False

    @property
    def needs_fit(self) -> bool:
        return not bool(self.upstream.get_buffer("fitted"))

    def prepare(self, surroundings: Surroundings) -> None:
        """Have the hidden states of the views computed once, where every epoch has the same sound."""
        data = surroundings.data
        if not data.changed_sound and data.max_crop_s is None:
            views = self.encoder.views
            self._states_of = surroundings.keep_states(views, range(views.num_layers))

    def fit(self, batches: Iterable[Batch]) -> None:
        """Mean and deviation of what the views see, over about `NUM_ROWS` training rows."""
        moments, num_rows = [StreamingMoments(size) for size in self.encoder.sizes], 0
        for batch in islice(batches, NUM_ROWS):
            for sums, view in zip(moments, self._seen(batch), strict=True):
                sums.add(view[:, 0])
            num_rows += len(batch)
            if num_rows >= NUM_ROWS:
                break
        self.encoder.set_statistics([(sums.mean.float(), sums.deviation().float()) for sums in moments])

    def loss(self, batch: Batch) -> Loss:
        """Logs `matched`, how often the other view of a recording is the nearest one of the batch."""
        embedded = self.encoder.embed(self._seen(batch))
        projected = [project(view[:, 0]) for project, view in zip(self.projections, embedded, strict=True)]
        losses, matched = pairwise_losses(projected, self.config.temperature)
        return Loss(losses.mean(), losses.new_tensor(float(len(batch))), {"matched": matched.mean().detach()})

    @torch.no_grad()
    def _seen(self, batch: Batch) -> list[Tensor]:
        """What each view sees of a batch, from the cache where it is there."""
        views = self.encoder.views
        if self._states_of is not None and batch.cuts:
            return self.encoder.seen(self._states_of(batch.cuts).to(batch.wavs.device).layers)
        return self.encoder.seen(views.of_batch(batch).layers)
