"""Who is held out: parts of segments that share no speaker, no syllable, or whatever else is to be unseen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import Ints

Mask = NDArray[np.bool_]


class HeldOut(NamedTuple):
    """One of the tests of a cross-validation: (N,) masks that share no value of any column that is held out.

    fit: what fits while the penalty is chosen.
    dev: what chooses.
    train: what fits afterwards. It is more than `fit` and `dev` where several columns are held out.
    test: what is tested.
    """

    fit: Mask
    dev: Mask
    train: Mask
    test: Mask


def draw_parts(
    values: Sequence[str], num: int, seed: int, *, column: str, classes: Sequence[str] | None = None
) -> Ints:
    """(N,) the part of each segment, from 0: all segments of a value are in one part.

    values: (N,) of a column.
    num: how many parts there are.
    seed: of what is drawn.
    column: its name, for messages.
    classes: (N,) of which each part gets about its share. None for numbers.
    Raises LabelError for fewer values than parts.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    if len(set(values)) < num:
        raise LabelError(
            f"Segments have {len(set(values))} value(s) of {column!r}, fewer than {num} folds; set --folds lower (3 at "
            f"least), or hold another column out by --disjoint."
        )
    parts = np.zeros(len(values), dtype=np.int64)
    # A label that every value has alone, or a part without some class, is no fault here: parts are only about equal.
    if classes is None or len(set(zip(values, classes, strict=True))) == len(set(values)):
        split = GroupKFold(num, shuffle=True, random_state=seed).split(parts, None, values)
    else:
        split = _quietly(StratifiedGroupKFold(num, shuffle=True, random_state=seed), parts, classes, values)
    for number, (_, members) in enumerate(split):
        parts[members] = number
    return parts


def cells_of(parts: Mapping[str, Ints], num: int) -> Iterator[HeldOut]:
    """The tests of a cross-validation over one or several columns, each segment in one of them.

    parts: (N,) of each column that is held out.
    num: how many parts each has.
    Raises LabelError where segments are too few for one of the tests to be fitted and chosen.
    """
    for place in itertools.product(range(num), repeat=len(parts)):
        own = list(zip(parts.values(), place, strict=True))
        tested, choosing = ([part == (number + step) % num for part, number in own] for step in (0, 1))
        test, dev = (np.logical_and.reduce(each) for each in (tested, choosing))
        train = ~np.logical_or.reduce(tested)
        cell = HeldOut(train & ~np.logical_or.reduce(choosing), dev, train, test)
        if not cell.test.any():
            continue
        if not (cell.fit.any() and cell.dev.any()):
            raise LabelError(
                f"{len(test)} segments are too few for {num} folds of {' and '.join(map(repr, parts))}; set --folds "
                f"lower, or hold one column out."
            )
        yield cell


def _quietly(splitter: object, *given: object) -> list[tuple[Ints, Ints]]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(splitter.split(*given))  # type: ignore[attr-defined, no-any-return]
