"""Of which sound an epoch is made: several manifests as one, and shares of sound by the values of fields.

A corpus that is mixed in by its share is not forgotten while another is learnt (rehearsal, Robins, 1995). Shares are of
seconds as they are used, not of rows: of short words and long talks in equal numbers, nearly all sound is talk.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ConfigError, ManifestError, did_you_mean
from audiossl.data.fields import known_fields, read_field
from audiossl.data.manifests import read_manifest

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

CORPUS = "corpus"  # the field of a row that says which of several manifests it is of
OTHERS = "*"  # in a composition: all values that it does not name, and none
_SHOWN = 100  # rows
_NEAR_ONE = 1e-3  # thirds may be written with three digits

Group = tuple[str, ...]  # a value for each field of a composition
Shares = Mapping[str, Mapping[str, float]]  # by field and value


def read_mixed(paths: Mapping[str, Path]) -> CutSet:
    """The rows of several manifests one after another, each with the name of its manifest in the field `corpus`.

    paths: of the manifests, by their names.
    Raises ManifestError as `read_manifest` does, and for an id that two of them have when its row is met.
    """
    from lhotse import CutSet

    return CutSet(_MixedRows({name: read_manifest(path) for name, path in paths.items()}))


class _MixedRows:
    """The rows of several cut sets, which each iteration reads afresh."""

    def __init__(self, corpora: Mapping[str, CutSet]) -> None:
        self._corpora = corpora

    def __len__(self) -> int:
        return sum(map(len, self._corpora.values()))

    def __iter__(self) -> Iterator[Cut]:
        owners: dict[str, str] = {}
        for name, rows in self._corpora.items():
            for cut in rows:
                owner = owners.setdefault(cut.id, name)
                if owner != name:
                    raise ManifestError(
                        f"Row {cut.id} is in {owner} and in {name}, which data.mix has both; ids must be unique: leave "
                        f"one of the manifests out, or make it again with other ids."
                    )
                yield _marked(cut, name)


def _marked(cut: Any, corpus: str) -> Cut:
    """A copy of the row whose field `corpus` has that value."""
    from lhotse import SupervisionSegment

    first, *rest = cut.supervisions or [SupervisionSegment(cut.id, cut.id, 0.0, cut.duration)]
    first = replace(first, custom={**(first.custom or {}), CORPUS: corpus})
    marked: Cut = replace(cut, supervisions=[first, *rest])
    return marked


def check_shares(shares: Mapping[str, float], name: str) -> None:
    """Raise ConfigError for shares that do not add up to 1.

    shares: by what they are shares of.
    name: of the setting that they come from.
    """
    total = sum(shares.values())
    if abs(total - 1) > _NEAR_ONE:
        written = " + ".join(f"{share:g}" for share in shares.values()) or "nothing"
        raise ConfigError(f"The shares of {name} add up to {total:g} ({written}); make them add up to 1.")


class Composition:
    """The groups of rows that an epoch is composed of, each with its share of the sound.

    Of several fields, the shares are multiplied: each corpus is composed alike.

    shares: by field and value, where the value '*' stands for all others.
    """

    def __init__(self, shares: Shares) -> None:
        self.shares = shares
        named = product(*(values.items() for values in shares.values()))
        found = {tuple(value for value, _ in pairs): prod(share for _, share in pairs) for pairs in named}
        self.of_group = {group: share for group, share in found.items() if share > 0}
        self._seen: dict[str, Counter[str]] = {field: Counter() for field in shares}
        self._first_rows: list[Cut] = []  # of whose fields an error tells

    def group_of(self, cut: Cut) -> Group | None:
        """The group of a row, None for one that is left out."""
        if len(self._first_rows) < _SHOWN:
            self._first_rows.append(cut)
        group: list[str] = []
        for field, named in self.shares.items():
            value = read_field(cut, field)
            if value is not None:
                self._seen[field][value] += 1
            group.append(value if value is not None and value in named else OTHERS)
        found = tuple(group)
        return found if found in self.of_group else None

    def check(self, members: Mapping[Group, Sequence[int]]) -> None:
        """Raise ManifestError for a field, a value or a combination of values that no row has.

        members: the rows of each group, by their numbers.
        """
        for field, named in self.shares.items():
            setting = "data.mix" if field == CORPUS else f"data.compose.{field}"
            seen = self._seen[field]
            if not seen and set(named) != {OTHERS}:
                there = ", ".join(known_fields(self._first_rows)) or "none"
                raise ManifestError(f"No row has anything in the field {field!r} of {setting}; there are: {there}.")
            for value, share in named.items():
                if share > 0 and value != OTHERS and not seen[value]:
                    raise ManifestError(
                        f"{setting} wants a share of {share:g} for {value!r}, of which no row can be used. "
                        f"{did_you_mean(value, sorted(seen))}"
                    )
        for group, share in self.of_group.items():
            if not members.get(group):
                said = ", ".join(f"{field}={value}" for field, value in zip(self.shares, group, strict=True))
                raise ManifestError(
                    f"No row that can be used is of {said}, which is to have a share of {share:g}; give it the share "
                    f"0, or add such rows."
                )

    def drawn(self, members: Mapping[Group, Sequence[int]], lasts_s: Sequence[float], seed: str) -> list[int]:
        """Rows that last about as long as all together, of which each group has its share.

        A row comes again only when all others of its group were drawn as often. The last row of a group is taken with
        the chance that makes its share exact in the mean over epochs.

        members: the rows of each group, by their numbers.
        lasts_s: how long each row lasts as it is used, by its number.
        seed: what they are drawn by.
        """
        rng = random.Random(seed)
        total_s = sum(lasts_s)
        found: list[int] = []
        for group, share in self.of_group.items():
            found += _drawn_for(members[group], lasts_s, share * total_s, rng)
        return found


def _drawn_for(members: Sequence[int], lasts_s: Sequence[float], wanted_s: float, rng: random.Random) -> list[int]:
    """Rows of one group until they last `wanted_s`.

    members: the rows of the group.
    lasts_s: how long each lasts.
    wanted_s: of all that are drawn.
    rng: what they are drawn by.
    """
    found: list[int] = []
    while True:
        for number in rng.sample(members, len(members)):
            if wanted_s < lasts_s[number] and rng.random() * lasts_s[number] >= wanted_s:
                return found
            found.append(number)
            wanted_s -= lasts_s[number]
