"""What is predicted from a column: a class, a level of an order, or a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from audiossl.core.ranges import Finite, NonNegative, Positive
from audiossl.nn.regression import NumberLoss

Kind = Literal["class", "ordinal", "number"]


@dataclass(frozen=True)
class Target:
    """A column and how it is predicted. `targets.age: number` is short for its kind."""

    SHORT: ClassVar[str] = "kind"

    kind: Kind = "class"
    """'class', one of several labels without an order; 'ordinal', one of several levels; 'number'."""
    column: str = ""
    """The column of the manifest, or 'speaker', 'language', 'text'. Empty for the target's own name."""
    weight: NonNegative = 1.0
    """What its loss is multiplied by. 0 does not train it."""
    loss: NumberLoss = "mse"
    """Of a number: 'mse', 'l1', 'huber', or 'ccc', which is of a batch as a whole and wants large ones."""
    huber_delta: Positive = 1.0
    """Where Huber's loss becomes linear, in standard deviations of training rows."""
    least: Finite | None = None
    """Lower predictions of a number are raised to this. Null for no bound."""
    most: Finite | None = None
    """Higher predictions of a number are lowered to this. Null for no bound."""
    labels: list[str] = field(default_factory=list)
    """The classes, or the levels from the lowest to the highest. Empty for those of the training data, sorted. Levels
    that are no numbers must be given."""
    mean: Finite = 0.0
    """Of a number in training rows, which the head predicts in standard deviations from it. It is filled in."""
    scale: NonNegative = 0.0
    """Standard deviation of a number in training rows. It is filled in. 0 for not yet."""
