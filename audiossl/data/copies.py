"""Changed copies of training rows: a copy is what an epoch makes of a row, and comes again some epochs later.

What `data.speeds`, `data.max_crop_s` and `data.augment` draw then follows from the row's id and the number of the copy,
and from no seed, so that runs with any seeds share what an encoder gives for them. A row of which `data.augment` has to
make a copy is marked with its number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lhotse.cut import Cut

_MARK = "changed_copy"
_SEED = 0  # of all copies


class DrawnBy(NamedTuple):
    """What decides what is drawn for a row: seed, epoch, and how often the epoch had the row before."""

    seed: int
    epoch: int
    draw: int = 0


def drawn_by(seed: int, epoch: int, draw: int, copies: int) -> DrawnBy:
    """What decides what is drawn for a row.

    seed: of the run.
    epoch: which one, from 0.
    draw: how often the epoch had the row before.
    copies: how many there are of each row. 0 for new draws in every epoch.
    """
    return of_copy((epoch + draw) % copies) if copies else DrawnBy(seed, epoch, draw)


def of_copy(number: int) -> DrawnBy:
    """What decides what is drawn for a copy. number: of the copy, from 0."""
    return DrawnBy(_SEED, number)


def marked(cut: Any, number: int) -> Cut:
    """The row as a copy of which the sound is yet to be changed. number: of the copy."""
    copy: Cut = replace(cut, custom={**(cut.custom or {}), _MARK: number})
    return copy


def copy_of(cut: Cut) -> int | None:
    """The number of a marked copy. None for any other row."""
    number: int | None = (getattr(cut, "custom", None) or {}).get(_MARK)
    return number
