"""Measures of two views from sums by fold and speaker: directions are fitted on some speakers and tested on others.

Of K folds one tests, the next one chooses the ridge, the others fit, K times. What is held out is a speaker wherever
one can be. A label that is the speaker's own, such as the name, is tested on other recordings of the same speakers.

An interval leaves out one speaker (or group of speakers) after the other from what is tested, and keeps the directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from audiossl.core.errors import LabelError
from audiossl.metrics.cca import Canonical, fit_pwcca, fit_svcca, whiten
from audiossl.metrics.cka import cka_of_sums
from audiossl.metrics.clusters import Ints
from audiossl.metrics.jackknife import Estimate
from audiossl.metrics.moment_sums import PairSums, View

MEASURES = ("pwcca", "svcca", "cka", "cka_biased")
_NOTHING = 1e-12  # a variance that is rounding


class SumsCell(NamedTuple):
    """Sums of the items of one fold and one group of speakers."""

    fold: int
    group: int
    sums: PairSums


class Folding(NamedTuple):
    """Which fold each of N items is in.

    of: (N,).
    held_out: what no fold shares with another, in words.
    """

    of: Ints
    held_out: str


class Crossed(NamedTuple):
    """Measures of two views, and the ridge that each fold chose."""

    estimates: dict[str, Estimate]
    ridges: tuple[float, ...]

    def of(self, measure: str) -> tuple[float, ...]:
        """The ridges of a measure, none where it has none."""
        return self.ridges if measure == "pwcca" else ()


def folds_of(values: View, groups: Ints, rows: Sequence[str], num_folds: int, kind: str) -> Folding:
    """Folds of N items: by groups, where that leaves each fold values that differ.

    values: (N, E) one-hot labels, numbers or embeddings.
    groups: (N,) the group of speakers of each item, from 0.
    rows: (N,) ids of the recordings.
    num_folds: K.
    kind: what a group is, in words.
    Raises LabelError where values that are their speakers' own have recordings for fewer than three folds.
    """
    num_groups = int(groups.max()) + 1
    of = np.unique(np.asarray(values), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    inside = [np.unique(of[groups == group]) for group in range(num_groups)]
    if any(len(each) > 1 for each in inside):
        order, num = np.argsort(-np.bincount(groups), kind="stable"), min(num_folds, num_groups)
    else:  # groups of each value are dealt out, so that each fold has all of them
        own = np.array([int(each[0]) for each in inside])
        sizes = np.bincount(own)
        alike = int(sizes[sizes > 0].min())
        order, num = np.argsort(own, kind="stable"), min(num_folds, alike if len(sizes) < num_groups else 1)
    if num < 3:
        return _by_recording(of, rows, num_folds)
    return Folding(_dealt(order, num)[groups], kind)


def _by_recording(of: Ints, rows: Sequence[str], num_folds: int) -> Folding:
    """Recordings of each value (N,) are dealt out to the folds."""
    fold, fewest = np.zeros(len(rows), dtype=np.int64), num_folds
    for value in np.unique(of):
        mine = np.flatnonzero(of == value).tolist()
        number = {name: place for place, name in enumerate(sorted({rows[place] for place in mine}))}
        fewest = min(fewest, len(number))
        fold[mine] = [number[rows[place]] for place in mine]
    if fewest < 3:
        raise LabelError(
            f"A label has {fewest} recording(s), and cross-validation needs three of each; give more recordings, or "
            f"leave this label out."
        )
    return Folding(fold % fewest, "recording")


def _dealt(order: Ints, num_folds: int) -> Ints:
    """The folds of what stands in an order, one after the other."""
    fold = np.zeros(len(order), dtype=np.int64)
    fold[order] = np.arange(len(order)) % num_folds
    return fold


def cells_of(first: View, second: View, folds: Ints, groups: Ints) -> list[SumsCell]:
    """Sums of items by fold and group.

    first: (N, D).
    second: (N, E).
    folds: (N,) of each item.
    groups: (N,) of each item.
    """
    places = sorted(set(zip(folds.tolist(), groups.tolist(), strict=True)))
    chosen = [((folds == fold) & (groups == group)) for fold, group in places]
    return [
        SumsCell(fold, group, PairSums.of(first[mine], second[mine]))
        for (fold, group), mine in zip(places, chosen, strict=True)
    ]


def crossed(cells: Sequence[SumsCell], num_groups: int, ridges: Sequence[float]) -> Crossed:
    """All measures of the two views.

    cells: their sums.
    num_groups: G.
    ridges: to choose from.
    """
    folds = sorted({cell.fold for cell in cells})
    held = {fold: _total(cell.sums for cell in cells if cell.fold == fold) for fold in folds}
    whole = _total(held.values())
    pwcca: dict[int, Canonical] = {}
    svcca: dict[int, Canonical] = {}
    chosen = []
    for place, fold in enumerate(folds):
        dev = held[folds[(place + 1) % len(folds)]]
        train = whole.plus(held[fold], -1.0).plus(dev, -1.0)
        views = (whiten(train.x), whiten(train.y))
        fitted = fit_pwcca(train, ridges, views)
        best = int(np.argmax([each.score(dev) for each in fitted]))
        chosen.append(ridges[best])
        pwcca[fold], svcca[fold] = fitted[best], fit_svcca(train, views=views)
    estimates = {
        "pwcca": _tested(cells, held, pwcca, num_groups),
        "svcca": _tested(cells, held, svcca, num_groups),
    }
    estimates["cka"] = _left_out(cells, whole, num_groups, cka_of_sums)
    estimates["cka_biased"] = _left_out(cells, whole, num_groups, partial(cka_of_sums, unbiased=False))
    return Crossed(estimates, tuple(chosen))


def _tested(
    cells: Sequence[SumsCell], held: Mapping[int, PairSums], fitted: Mapping[int, Canonical], num_groups: int
) -> Estimate:
    """The mean over the folds of what each tests, and without each group."""
    value = {fold: _score(fitted[fold], sums) for fold, sums in held.items()}
    without = []
    for group in range(num_groups):
        scores = dict(value)
        for fold in {cell.fold for cell in cells if cell.group == group}:
            mine = _total(cell.sums for cell in cells if (cell.fold, cell.group) == (fold, group))
            scores[fold] = _score(fitted[fold], held[fold].plus(mine, -1.0))
        without.append(_mean(scores.values()))
    return Estimate(_mean(value.values()), np.array(without))


def _score(fitted: Canonical, sums: PairSums) -> float:
    """What items say of directions. NaN where nothing varies, such as a label that all of them have."""
    varies = sums.num > 1.5 and all(np.trace(view.covariance) > _NOTHING for view in (sums.x, sums.y))
    return fitted.score(sums) if varies else float("nan")


def _mean(scores: Iterable[float]) -> float:
    """The mean of the folds that say something. NaN where none does."""
    known = [score for score in scores if np.isfinite(score)]
    return float(np.mean(known)) if known else float("nan")


def _left_out(
    cells: Sequence[SumsCell], whole: PairSums, num_groups: int, measure: Callable[[PairSums], float]
) -> Estimate:
    """A measure of all items, and without each group."""
    without = []
    for group in range(num_groups):
        mine = [cell.sums for cell in cells if cell.group == group]
        without.append(measure(whole.plus(_total(mine), -1.0) if mine else whole))
    return Estimate(measure(whole), np.array(without))


def _total(parts: Iterable[PairSums]) -> PairSums:
    return reduce(PairSums.plus, parts)
