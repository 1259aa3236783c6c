"""Slots of utterances: which types are there, and what their values are (Yang et al., SUPERB, 2021, arXiv:2105.01051).

slot_type_f1    F1 of the set of types of an utterance, a mean over utterances. 1 where there is none, nor found.
slot_value_cer  Edits of each true value over its characters. It is held against the most similar value that was found
                for its type, and against nothing where that type was not found.
slot_f1         F1 over all slots, of which type and value are both right. An equal slot counts once for each time that
                it is there. Where words are right and no slot is twice in an utterance it is the F1 of seqeval.
slot_edit_f1    The same as the code of that paper counts: a wrong value is one missing and one false slot, however many
                values were found for its type, and what was found for a type that is not there is false.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiossl.core.types import Metric
from audiossl.metrics.clusters import Clusters, Groups, clusters_of
from audiossl.metrics.error_rate import Edits, count_edits, error_rates
from audiossl.metrics.jackknife import metric_of
from audiossl.metrics.ratios import ratio_estimate


class Slot(NamedTuple):
    """A value and what it is.

    type: for instance 'artist'.
    value: its words.
    """

    type: str
    value: str


class Hits(NamedTuple):
    """Counts of slots: right ones, and those of which either side has `num_true` and `num_found`."""

    num_right: int
    num_true: int
    num_found: int


Slots = Sequence[Slot]


def type_f1(target: Slots, found: Slots) -> float:
    """F1 of the types of one utterance.

    >>> type_f1([Slot("artist", "x"), Slot("album", "y")], [Slot("artist", "z")])
    0.6666666666666666
    """
    true, said = {slot.type for slot in target}, {slot.type for slot in found}
    return 2 * len(true & said) / (len(true) + len(said)) if true or said else 1.0


def value_edits(target: Slots, found: Slots) -> Edits:
    """Edits of the characters of the true values of one utterance. Of equally similar values the first is taken."""
    edits = [_closest(slot, [other.value for other in found if other.type == slot.type]) for slot in target]
    return Edits(*(sum(each) for each in zip(*edits, strict=True))) if edits else Edits(0, 0, 0, 0)


def slot_hits(target: Slots, found: Slots) -> Hits:
    """Slots of one utterance that are right in type and value."""
    both = Counter(target) & Counter(found)
    return Hits(both.total(), len(target), len(found))


def edit_hits(target: Slots, found: Slots) -> Hits:
    """The same as SUPERB's code counts."""
    said, types = set(found), {slot.type for slot in target}
    right = sum(slot in said for slot in target)
    heard = {slot.type for slot in found}
    substituted = sum(slot not in said and slot.type in heard for slot in target)
    strange = sum(slot.type not in types for slot in found)
    return Hits(right, len(target), right + substituted + strange)


def slot_metrics(targets: Sequence[Slots], found: Sequence[Slots], groups: Groups = None) -> dict[str, Metric]:
    """The four figures with their intervals. `slot_value_cer` is left out where no utterance has a slot.

    targets: (N,) the true slots of each utterance, in their order.
    found: (N,) those that were found.
    groups: (N,) speakers, who vary as a whole (see `clusters_of`).
    Raises ValueError for no utterance, and for another number of them than of targets.
    """
    if len(targets) != len(found) or not targets:
        raise ValueError(f"{len(found)} utterances for {len(targets)} targets; there must be one for each.")
    clusters = clusters_of(groups, len(targets))
    pairs = list(zip(targets, found, strict=True))
    ones = np.ones(len(pairs))
    made = {"slot_type_f1": _share([type_f1(*pair) for pair in pairs], ones, len(pairs), clusters)}
    edits = [value_edits(*pair) for pair in pairs]
    if sum(each.num_units for each in edits):
        made["slot_value_cer"] = error_rates(edits, clusters)["rate"]
    for name, count in (("slot_f1", slot_hits), ("slot_edit_f1", edit_hits)):
        hits = [count(*pair) for pair in pairs]
        sizes = [each.num_true + each.num_found for each in hits]
        if sum(sizes):
            made[name] = _share([2 * each.num_right for each in hits], sizes, sum(sizes) / 2, clusters)
    return made


def _closest(slot: Slot, values: Sequence[str]) -> Edits:
    edits = [count_edits(slot.value, value) for value in values or [""]]
    return min(edits, key=lambda each: each.num_errors)


def _share(above: ArrayLike, below: ArrayLike, num_items: float, clusters: Clusters) -> Metric:
    estimate = ratio_estimate(above, below, clusters)
    return metric_of(estimate._replace(scale="share", num_items=float(num_items)), clusters)
