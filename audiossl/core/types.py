"""What flows between the stages. Letters: B batch, S samples, T frames, L layers, D width, C classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from lhotse.cut import Cut
    from torch import Tensor


class Position(NamedTuple):
    """Where a batch stands in the stream of batches: resuming starts at the one after it."""

    epoch: int
    batch: int


@dataclass(frozen=True)
class Batch:
    """B items: recordings padded with zeros to the longest.

    wavs: (B, S) float32 in [-1, 1].
    lengths: (B,) int64 samples.
    cuts: the B manifest rows that the sound came from. Labels, speakers and transcripts are read from them.
    position: set by the data loader.
    features: hidden states that were computed before, in which case wavs is (B, 0).
    beside: a batch of other rows, for a second loss in the same step.
    """

    wavs: Tensor
    lengths: Tensor
    cuts: tuple[Cut, ...] = ()
    position: Position | None = None
    features: Features | None = None
    beside: Batch | None = None

    def __len__(self) -> int:
        return int(self.lengths.numel())

    def to(self, device: torch.device | str) -> Batch:
        wavs, lengths = (tensor.to(device, non_blocking=True) for tensor in (self.wavs, self.lengths))
        features = None if self.features is None else self.features.to(device)
        beside = None if self.beside is None else self.beside.to(device)
        return replace(self, wavs=wavs, lengths=lengths, features=features, beside=beside)

    def pin_memory(self) -> Batch:
        features = None if self.features is None else self.features.pin_memory()
        beside = None if self.beside is None else self.beside.pin_memory()
        wavs, lengths = self.wavs.pin_memory(), self.lengths.pin_memory()
        return replace(self, wavs=wavs, lengths=lengths, features=features, beside=beside)


@dataclass(frozen=True)
class Features:
    """Hidden states of one batch.

    layers: L tensors (B, T, D_l).
    lengths: (B,) int64 frames. Frames beyond them are zero or undefined.
    exact: False where the states of an item depend on the padding or on the items beside it (legacy modes).
    begun: True where they are those of the part of an encoder that does not train, from which the rest goes on.
    """

    layers: tuple[Tensor, ...]
    lengths: Tensor
    exact: bool = True
    begun: bool = False

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.shape[-1] for layer in self.layers)

    def to(self, device: torch.device | str) -> Features:
        layers = tuple(layer.to(device, non_blocking=True) for layer in self.layers)
        return replace(self, layers=layers, lengths=self.lengths.to(device, non_blocking=True))

    def pin_memory(self) -> Features:
        layers = tuple(layer.pin_memory() for layer in self.layers)
        return replace(self, layers=layers, lengths=self.lengths.pin_memory())

    def item(self, index: int) -> tuple[Tensor, ...]:
        """The L hidden states (T_index, D_l) of one item, without padding."""
        frames = int(self.lengths[index])
        return tuple(layer[index, :frames] for layer in self.layers)


@dataclass(frozen=True)
class Loss:
    """A mean over `weight` items (utterances, frames, ...), so that batches of any size can be averaged exactly.

    total: () differentiable.
    weight: () how many items it averages over.
    logs: scalars for the log, means as well.
    """

    total: Tensor
    weight: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


Cell = str | float | dict[str, Any] | None


class Table(NamedTuple):
    """A table for the report, JSON-able.

    rows: cells are text, numbers, None, or one of
    {"audio": path, "start_s": 0.0, "duration_s": 2.5}: a player of that part of a file.
    {"words": [[reference, hypothesis], ...]}: aligned words, '' for the side on which one is missing.
    """

    title: str
    header: list[str]
    rows: list[list[Cell]]
    note: str = ""


class Metric(NamedTuple):
    """A figure and its 95 % interval.

    low, high: of the interval, None where none can be given.
    num_clusters: over how many the interval is. None where nobody has asked for one.
    cluster: what a cluster is, in the singular: 'speaker', 'recording', 'item'.
    remark: why there is no interval, or what a reader must know of the clusters.
    """

    value: float
    low: float | None = None
    high: float | None = None
    num_clusters: int | None = None
    cluster: str = ""
    remark: str = ""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Metric:
        """What `as_json` gave, also in a version that knew less. Raises KeyError without a value."""
        return cls(float(stored["value"]), **{key: stored[key] for key in cls._fields[1:] if key in stored})


BatchSource = Callable[[Position | None, int, int], Iterable[Batch]]  # (start, rank, world size) -> batches


def metrics_as_json(metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Metrics by name as {"value", "low", "high", "num_clusters", "cluster", "remark"}."""
    return {name: metric.as_json() for name, metric in metrics.items()}
