"""Train, dev and test of given shares, drawn by group: all rows of a recording (or of a speaker, ...) stay together.

`audiossl.data.folds` draws the parts of a cross-validation, of equal size. In both, rows with one value of a column
are a group, which stays together, and parts are stratified by another column: each has about its share of every label.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError, did_you_mean
from audiossl.data.fields import known_fields, read_field, read_labels
from audiossl.data.leaks import source_of

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def split_cuts(
    cuts: Iterable[Cut], shares: Mapping[str, float], *, by: str = "recording", stratify: str = "label", seed: int = 0
) -> dict[str, CutSet]:
    """Rows by split, drawn by group and stratified.

    cuts: all rows, in any order.
    shares: of each split, which sum to 1.
    by: the column whose values are groups, such as 'speaker'. 'recording' is the column of that name, else the sound
        file. 'item' draws row by row, which leaks.
    stratify: the column whose values have about equal shares in all splits ('' for none).
    seed: of the order in which groups of equal size are taken.

    Groups are taken in turn, the largest first, and each goes to where it brings the counts of all labels nearest to
    their shares. Raises ManifestError for fewer groups than splits, and for a column that no row has.
    """
    if not (all(share > 0 for share in shares.values()) and abs(sum(shares.values()) - 1) <= 1e-6):  # NaN is neither
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise ManifestError(f"The shares ({told}) must each be above 0 and sum to 1.")
    # With by='item' each row is a group of its own.
    groups: dict[str, list[Cut]] = defaultdict(list)
    rows = list(cuts)
    if stratify not in ("", "label") and all(read_field(cut, stratify) is None for cut in rows):
        raise ManifestError(
            f"No row has the field {stratify!r}, whose values were to be spread evenly. "
            f"{did_you_mean(stratify, known_fields(rows))}".strip()
        )
    for cut in rows:
        groups[_group(cut, by)].append(cut)
    if len(groups) < len(shares):
        raise ManifestError(
            f"There are {len(groups)} group(s) by {by} for {len(shares)} splits ({', '.join(shares)}); split by "
            f"another field, or into fewer parts."
        )
    # Whole groups go to a split, so that no value of `by` is in two of them.
    chosen = _assigned(groups, shares, stratify, seed)
    made: dict[str, list[Cut]] = {split: [] for split in shares}
    for name, members in groups.items():
        made[chosen[name]] += members
    from lhotse import CutSet

    return {split: CutSet.from_cuts(members) for split, members in made.items()}


def _group(cut: Cut, by: str) -> str:
    value = cut.id if by == "item" else source_of(cut) if by == "recording" else read_field(cut, by)
    if value is None:
        raise ManifestError(f"Row {cut.id} has nothing in the field {by!r}; fill it in, or split by another field.")
    return value


def _assigned(groups: Mapping[str, list[Cut]], shares: Mapping[str, float], stratify: str, seed: int) -> dict[str, str]:
    """The split of each group.

    groups: their rows, by name.
    shares: of each split.
    stratify: the column whose values have about equal shares in all splits ('' for none).
    seed: of the order in which groups of equal size are taken.
    """
    counts = {name: _counts(rows, stratify) for name, rows in groups.items()}
    total: Counter[str] = sum(counts.values(), Counter())
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda name: -len(groups[name]))  # stable: equals stay as drawn
    filled: dict[str, Counter[str]] = {split: Counter() for split in shares}
    chosen: dict[str, str] = {}
    for place, name in enumerate(order):
        empty = [split for split in shares if split not in chosen.values()]
        # The last groups go where there is nothing yet.
        open_splits = empty if len(order) - place <= len(empty) else list(shares)

        def cost(split: str, name: str = name) -> float:
            """How much further from its shares the group brings this split, than it is without."""
            return sum(
                ((filled[split][label] + count) ** 2 - filled[split][label] ** 2) / total[label] / shares[split]
                for label, count in counts[name].items()
            )

        chosen[name] = min(open_splits, key=cost)
        filled[chosen[name]] += counts[name]
    return chosen


def _counts(rows: Iterable[Cut], stratify: str) -> Counter[str]:
    """Rows by label, a row with several labels under each, and all together under ''."""
    counts: Counter[str] = Counter()
    for cut in rows:
        counts[""] += 1
        counts.update((read_labels(cut, stratify) or []) if stratify else [])
    return counts
