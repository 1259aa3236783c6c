"""What is set of a detector of events, and what only the training rows can say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import LabelError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Range, Share, ShareBelowOne
from audiossl.downstreams.bioacoustic_events.calls import check_calls, heard_in
from audiossl.downstreams.bioacoustic_events.decisions import EventRule
from audiossl.metrics.sound_events import EventScoring

_RAREST = 1e-4  # share of frames or recordings


@dataclass(frozen=True)
class BioacousticEventsConfig:
    """Labels, head, decisions and what is scored."""

    supervision: Literal["strong", "weak"] = "strong"
    """What trains: 'strong' for when each call is (the field `calls`), 'weak' for what is heard in a row (the label
    field) and not when."""
    pooling: Literal["attention", "linear_softmax", "max", "noisy_or"] = "linear_softmax"
    """With weak labels, how the probability of a row follows from those of its frames."""
    label_field: str = "label"
    """Column that lists what is heard in a row with `|` between labels, or is empty where there is nothing."""
    decide_by: Literal["events", "labels"] | None = None
    """By what dev chooses checkpoint and decisions: 'events' for F1 by overlap, which needs strong labels in dev, or
    'labels' for mean average precision over rows. Null for what trains."""
    hidden: Count = 128
    """Channels of the convolutions over time."""
    num_layers: Annotated[int, Range(0, 8)] = 3
    """Convolutions of 5 frames, dilated by 1, 2, 4, ... 0 for a linear layer on each frame."""
    normalize: bool = False
    """Whether each frame goes through layer normalisation first."""
    dropout: ShareBelowOne = 0.1
    """On what each convolution gives."""
    class_weights: bool = False
    """Whether frames (or rows, with weak labels) with a class weigh as much as those without it."""
    same_class: Literal["error", "join"] = "error"
    """What becomes of calls of one class that overlap: an error, or one call."""
    threshold: Annotated[float, Range(above=0, below=1)] | None = None
    """Probability from which on a class is heard. Null for what dev chooses for each class."""
    median_s: NonNegative | None = None
    """Seconds of the median filter over decisions, 0 for none. Null for what dev chooses, and 0 with labels of rows."""
    gap_s: NonNegative | None = None
    """A gap in an event that is no longer is filled. Null for what dev chooses, and 0 with labels of rows."""
    shortest_s: NonNegative | None = None
    """An event that is shorter is left out. Null for what dev chooses, and 0 with labels of rows."""
    scoring: EventScoring = field(default_factory=EventScoring)
    """What counts as a hit."""
    psds: bool = False
    """Whether evaluations have PSDS too, which holds the frames of rows of at most 30 s against all thresholds (extra
    psds)."""
    group_field: str = "recording"
    """What varies as a whole: 'recording' (the column of that name, else the sound file), or any other field."""
    labels: list[str] = field(default_factory=list)
    """The classes. Empty for those of the training rows, sorted."""
    shares: list[Share] = field(default_factory=list)
    """Share of the frames (or rows, with weak labels) of training with each class. It is filled in."""
    row_s: NonNegative = 0.0
    """Mean seconds of a training row. It is filled in."""
    num_rows: CountOrZero = 0
    """Training rows. It is filled in."""

    @property
    def decides_by(self) -> str:
        return self.decide_by or ("events" if self.supervision == "strong" else "labels")

    @property
    def wanted(self) -> tuple[EventRule, tuple[bool, ...]]:
        """The rule that the user has set, and which parts of it they have."""
        parts = (self.threshold, self.median_s, self.gap_s, self.shortest_s)
        own = (value if asked is None else asked for value, asked in zip(EventRule(), parts, strict=True))
        return EventRule(*own), tuple(asked is not None for asked in parts)


def completed(config: BioacousticEventsConfig, cuts: Iterable[Cut]) -> BioacousticEventsConfig:
    """The configuration with labels and their shares of the training rows.

    Raises LabelError for rows without labels, and for a class without a call.
    """
    weak, total_s, num_rows = config.supervision == "weak", 0.0, 0
    amounts: dict[str, float] = {}
    for cut in cuts:
        total_s, num_rows = total_s + float(cut.duration), num_rows + 1
        if weak:
            found = [(label, 1.0) for label in heard_in(cut, config.label_field) or []]
        else:
            calls = check_calls(cut, "training", join=config.same_class == "join")
            found = [(label, end - start) for start, end, label in calls]
        for label, amount in found:
            amounts[label] = amounts.get(label, 0.0) + amount
    labels = list(config.labels) or sorted(amounts)
    if not labels:
        raise LabelError(
            f"No training row has a call (with {config.supervision} labels), so there is nothing to learn; make the "
            f"rows with `audiossl data from-annotations`, or set task.label_field."
        )
    if lacking := [label for label in labels if label not in amounts]:
        raise LabelError(
            f"No training row has a call of {', '.join(map(repr, lacking))}; add some, or leave the class out of "
            f"task.labels."
        )
    of = num_rows if weak else total_s
    shares = [round(min(amounts[label] / of, 1.0), 6) for label in labels]
    return replace(config, labels=labels, shares=shares, row_s=round(total_s / num_rows, 6), num_rows=num_rows)


def positive_weights(config: BioacousticEventsConfig) -> Tensor:
    """(C,) frames (or rows) without a class for each with it. Ones where that is off."""
    if not (config.class_weights and config.shares):
        return torch.ones(len(config.labels))
    shares = torch.tensor(config.shares).clamp(_RAREST, 1 - _RAREST)
    return (1 - shares) / shares
