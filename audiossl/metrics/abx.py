"""ABX: is X, of the category of A, nearer to A than to B (Schatz et al., 2013)?

A and B are of one speaker. X is of the same (within speakers) or of another one (across speakers). All three have the
same context, such as the phones around them. The error of a cell (two categories, a context, one or two speakers) is
the share of its triples in which B is nearer, ties being half an error. Cells are averaged over speakers, then over
contexts, then over ordered pairs of categories, as in the ZeroSpeech challenges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from audiossl.metrics.clusters import Clusters, Floats, Ints
from audiossl.metrics.jackknife import Estimate

Speakers = Literal["within", "across"]


class AbxCell(NamedTuple):
    """Triples of two categories in one context.

    pair: the categories of A and X, and of B.
    context: what all have around them.
    speakers: of A and B, and of X.
    a, b, x: (n,) numbers of segments. Within speakers a and x are the same.
    """

    pair: tuple[str, str]
    context: str
    speakers: tuple[str, str]
    a: Ints
    b: Ints
    x: Ints


def cells_of(
    labels: Sequence[str],
    speakers: Sequence[str],
    contexts: Sequence[str] = (),
    *,
    kind: Speakers,
    most: int = 10,
    seed: int = 0,
) -> list[AbxCell]:
    """All cells of N segments.

    labels: (N,) their categories.
    speakers: (N,) who speaks.
    contexts: (N,) what is around them. Empty for no matter what.
    kind: whether X is of the speaker of A and B or of another one.
    most: segments of a category, context and speaker, of more so many are drawn.
    seed: of what is drawn.
    Raises ValueError where there is none: no speaker says two categories (and one of them twice, within speakers).
    """
    around = contexts or [""] * len(labels)
    places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for place in np.random.default_rng(seed).permutation(len(labels)).tolist():
        mine = places[around[place], labels[place], speakers[place]]
        if len(mine) < most:
            mine.append(place)
    cells = list(_cells({key: np.array(sorted(mine)) for key, mine in sorted(places.items())}, kind))
    if not cells:
        twice = ", one of them twice" if kind == "within" else ", and one that another speaker says too"
        raise ValueError(f"ABX {kind} speakers needs a speaker who says two categories in one context{twice}.")
    return cells


def _cells(places: dict[tuple[str, str, str], Ints], kind: Speakers) -> Iterator[AbxCell]:
    by_context: dict[str, dict[str, dict[str, Ints]]] = defaultdict(lambda: defaultdict(dict))
    for (context, label, speaker), mine in places.items():
        by_context[context][label][speaker] = mine
    for context, said in by_context.items():
        for first, own in said.items():
            for second, other in said.items():
                if first == second:
                    continue
                for speaker in own.keys() & other.keys():
                    xs = [speaker] if kind == "within" else sorted(own.keys() - {speaker})
                    for teller in xs:
                        if kind == "within" and len(own[speaker]) < 2:
                            continue
                        pair, both = (first, second), (speaker, teller)
                        yield AbxCell(pair, context, both, own[speaker], other[speaker], own[teller])


def cell_error(cell: AbxCell, distances: Floats) -> float:
    """The share of triples in which X is nearer to B.

    distances: (N, N) of all segments.
    """
    to_a, to_b = distances[np.ix_(cell.x, cell.a)], distances[np.ix_(cell.x, cell.b)]
    differ = to_a[:, :, None] - to_b[:, None, :]  # (X, A, B)
    wrong = (differ > 0) + 0.5 * (differ == 0)
    if cell.speakers[0] != cell.speakers[1]:
        return float(wrong.mean())
    others = cell.x[:, None] != cell.a[None, :]  # X is another segment than A
    return float(wrong[others].mean())


def abx_estimate(cells: Sequence[AbxCell], distances: Floats, segments: Clusters, speakers: Sequence[str]) -> Estimate:
    """The error over all cells, and what it is without the cells of each cluster of speakers.

    cells: as `cells_of` gives them.
    distances: (N, N) of all segments.
    segments: the clusters of the N segments, none of which may split a speaker.
    speakers: (N,) who speaks.
    """
    merged = segments.merged()
    cluster = {speaker: int(number) for speaker, number in zip(speakers, merged.of, strict=True)}
    errors = np.array([cell_error(cell, distances) for cell in cells])
    first, second = (np.array([cluster[cell.speakers[side]] for cell in cells]) for side in (0, 1))
    keys = _Keys.of(cells)
    without = [keys.mean(errors, (first != number) & (second != number)) for number in range(merged.num)]
    return Estimate(keys.mean(errors, np.ones(len(cells), dtype=bool)), np.array(without), "share")


class _Keys(NamedTuple):
    """For the means of cells: which pair and context each is of, and which pair each of those is of."""

    context: Ints
    pair: Ints

    @classmethod
    def of(cls, cells: Sequence[AbxCell]) -> _Keys:
        contexts = {key: n for n, key in enumerate(dict.fromkeys((cell.pair, cell.context) for cell in cells))}
        pairs = {key: n for n, key in enumerate(dict.fromkeys(pair for pair, _ in contexts))}
        return cls(
            np.array([contexts[cell.pair, cell.context] for cell in cells]),
            np.array([pairs[pair] for pair, _ in contexts]),
        )

    def mean(self, errors: Floats, kept: np.ndarray) -> float:
        """Over speakers, then over contexts, then over pairs, of some cells. NaN for none of them."""
        if not kept.any():
            return float("nan")
        counts = np.bincount(self.context[kept], minlength=len(self.pair))
        sums = np.bincount(self.context[kept], errors[kept], minlength=len(self.pair))
        there = counts > 0
        by_context = sums[there] / counts[there]
        sizes = np.bincount(self.pair[there])
        totals = np.bincount(self.pair[there], by_context)
        return float((totals[sizes > 0] / sizes[sizes > 0]).mean())
