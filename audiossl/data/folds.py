"""The folds of a cross-validation: which rows each is trained, chosen and tested on.

Every row is tested once. The dev part of a fold, by which its checkpoint is chosen, comes from its training part. The
rows of one speaker are a group, which stays together, so that neither test nor dev has a voice that was trained on.
Parts are stratified: each has about its share of every label. What is drawn depends on the seed and the rows alone, not
on their order. (`audiossl.data.splits` draws parts of given shares, once.)
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np

from audiossl.core.errors import ConfigError, ManifestError, did_you_mean
from audiossl.core.ranges import Range, check_ranges
from audiossl.data.fields import known_fields, read_field

if TYPE_CHECKING:
    from lhotse.cut import Cut


KINDS = ("leave_one_out", "column", "k")


@dataclass(frozen=True)
class FoldsConfig:
    """How rows become folds. `folds: k:5` is short for `by: k:5`."""

    SHORT: ClassVar[str] = "by"

    by: str = ""
    """What makes a fold: 'leave_one_out:COLUMN', where each value of a column of the manifest is tested in turn, 'k:N',
    N folds drawn from the seed, or 'column:COLUMN', the same as the first for folds that come with a corpus, which are
    taken as they are even where they share speakers. Empty for no folds."""
    dev: Annotated[float, Range(above=0, below=1)] = 0.2
    """Share of a fold's training part that becomes its dev part."""
    group: str = "speaker"
    """Column whose values stay together in what is drawn, and may not be in two folds. Where no row has it, rows are
    drawn one by one. Empty for none."""
    stratify: str = "label"
    """Column whose values should have equal shares in what is drawn. Empty for none."""
    dev_shares_groups: bool = False
    """Whether dev is any share of the training rows, so that it has voices that were trained on. Published protocols do
    that, and a checkpoint is then chosen for how well it remembers them."""

    def __post_init__(self) -> None:
        check_ranges(self, "folds")
        if self.by:
            self.parsed()

    def parsed(self) -> tuple[str, str]:
        """(kind, column or number). Raises ConfigError."""
        kind, colon, argument = self.by.partition(":")
        if kind not in KINDS or not colon or not argument:
            raise ConfigError(
                f"folds={self.by} is none of leave_one_out:COLUMN, column:COLUMN and k:NUMBER; write for instance "
                f"folds=leave_one_out:speaker."
            )
        if kind == "k" and (not argument.isdecimal() or int(argument) < 2):
            raise ConfigError(f"folds={self.by} needs a whole number of at least 2 after the colon, for instance k:5.")
        return kind, argument


class Fold(NamedTuple):
    """One split of all rows in three."""

    name: str
    train: list[Cut]
    dev: list[Cut]
    test: list[Cut]

    def parts(self) -> Iterator[tuple[str, list[Cut]]]:
        yield from (("train", self.train), ("dev", self.dev), ("test", self.test))


def draw_folds(cuts: Iterable[Cut], config: FoldsConfig, seed: int, where: str = "the manifest") -> list[Fold]:
    """The folds of all rows.

    cuts: the rows, in any order.
    config: how they become folds.
    seed: of what is drawn.
    where: what an error calls the rows.
    Raises ManifestError or ConfigError for rows that do not make such folds.
    """
    rows = sorted(cuts, key=lambda cut: str(cut.id))
    kind, argument = config.parsed()
    groups = _groups(rows, config.group, where)
    if kind == "k":
        names = _drawn_names(rows, groups, config, int(argument), seed, where)
    else:
        names = _column(rows, argument, where)
        _check_values(rows, names, groups, config, where)
    folds = []
    for name in sorted(set(names), key=natural):
        inside = [row for row, value in zip(rows, names, strict=True) if value != name]
        test = [row for row, value in zip(rows, names, strict=True) if value == name]
        train, dev = _nested_dev(inside, config, seed, f"fold {name!r} of {where}")
        folds.append(Fold(folder_name(name), train, dev, test))
    repeated = [name for name, count in Counter(fold.name for fold in folds).items() if count > 1]
    if repeated:
        raise ManifestError(f"Two folds of {where} would be the folder {repeated[0]!r}; rename one of the values.")
    return folds


def folder_name(value: str) -> str:
    """A value of a column as the name of a folder.

    >>> folder_name("Ses01"), folder_name("a/b c")
    ('Ses01', 'a_b_c')
    """
    return re.sub(r"[^\w.+-]", "_", value).lstrip(".") or "_"


def natural(value: str) -> list[Any]:
    """A key by which numbers within names count as numbers.

    >>> sorted(["fold10", "fold2"], key=natural)
    ['fold2', 'fold10']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", value) if part]


def _column(rows: Sequence[Cut], column: str, where: str) -> list[str]:
    """The value of each row. Raises ManifestError for a column that is not there, or not in every row."""
    values = [read_field(row, column) for row in rows]
    lacking = [row.id for row, value in zip(rows, values, strict=True) if value is None]
    if len(lacking) == len(rows):
        raise ManifestError(f"No row of {where} has the column {column!r}. {did_you_mean(column, known_fields(rows))}")
    if lacking:
        raise ManifestError(
            f"{len(lacking)} of the {len(rows)} rows of {where} have nothing in the column {column!r} (for instance "
            f"{lacking[0]!r}); fill it in, or drop them."
        )
    return [str(value) for value in values]


def _groups(rows: Sequence[Cut], column: str, where: str) -> list[str] | None:
    """The group of each row, None where no row has one."""
    if not column or all(read_field(row, column) is None for row in rows):
        return None
    try:
        return _column(rows, column, where)
    except ManifestError as error:
        raise ManifestError(f"{str(error).rstrip('.')}, or draw rows one by one with folds.group=''.") from error


def _check_values(
    rows: Sequence[Cut], names: Sequence[str], groups: Sequence[str] | None, config: FoldsConfig, where: str
) -> None:
    """Raise ManifestError for a single value, and for a group in two folds unless the folds are the corpus's own."""
    kind, column = config.parsed()
    if len(set(names)) < 2:
        raise ManifestError(
            f"All rows of {where} have {names[0]!r} in the column {column!r}, and folds need at least two values."
        )
    if kind == "column" or groups is None:
        return
    first: dict[str, str] = {}
    for row, name, group in zip(rows, names, groups, strict=True):
        if first.setdefault(group, name) != name:
            raise ManifestError(
                f"The {config.group} {group!r} is in two folds of {where}, {first[group]!r} and {name!r} (row "
                f"{row.id!r}), and would be tested after being trained on; correct the column {column!r}, or allow it "
                f"with folds.group=''."
            )


def _drawn_names(
    rows: Sequence[Cut], groups: Sequence[str] | None, config: FoldsConfig, num_folds: int, seed: int, where: str
) -> list[str]:
    """The fold of each row, '1' to 'N'.

    rows: all rows.
    groups: of each row, None where each is on its own.
    config: by what the folds are stratified.
    num_folds: N.
    seed: of what is drawn.
    where: what an error calls the rows.
    Raises ManifestError for fewer groups than folds, and for a fold without a row.
    """
    # Told here, in words of the manifest: scikit-learn would speak of members and splits.
    what = f"values of {config.group!r}" if groups is not None else "rows"
    available = len(set(groups)) if groups is not None else len(rows)
    if available < num_folds:
        allow = ", or allow folds that share them with folds.group=''" if groups is not None else ""
        raise ManifestError(
            f"folds={config.by} needs at least {num_folds} {what}, and {where} has {available}; ask for fewer "
            f"folds{allow}."
        )
    # Groups stay whole, so a part may come out empty although there are groups enough.
    names = [""] * len(rows)
    for number, members in enumerate(_draw(rows, groups, config.stratify, num_folds, seed), start=1):
        if not len(members):
            raise ManifestError(
                f"folds={config.by} leaves fold {number} of {where} without a row, since its {what} differ too much in "
                f"size; ask for fewer folds."
            )
        for index in members:
            names[index] = str(number)
    return names


def _nested_dev(rows: Sequence[Cut], config: FoldsConfig, seed: int, where: str) -> tuple[list[Cut], list[Cut]]:
    """(train, dev) of the rows that a fold does not test.

    rows: these rows.
    config: the share of dev, and what stays together.
    seed: of what is drawn.
    where: what an error calls the fold.
    Raises ManifestError where the rows are a single group.
    """
    groups = None if config.dev_shares_groups else _groups(rows, config.group, where)
    available = len(rows) if groups is None else len(set(groups))
    if available < 2:
        raise ManifestError(
            f"The training part of {where} has a single {config.group if groups else 'row'}, so no dev part can be "
            f"drawn from it; use folds with more of them, or folds.dev_shares_groups=true, which is unsound."
        )
    # The rows are drawn in about 1 / dev parts, and one of these becomes dev.
    wanted = config.dev * len(rows)
    parts = _draw(rows, groups, config.stratify, min(max(2, round(1 / config.dev)), available), seed)
    labels = _strata(rows, config.stratify)

    def order(part: Iterable[int]) -> tuple[int, int, float]:
        """Every class in training comes first, then as many as can be in dev, then the size asked for."""
        chosen = set(part)
        left = {label for index, label in enumerate(labels) if index not in chosen}
        return -len(left), -len({labels[index] for index in chosen}), abs(len(chosen) - wanted)

    usable: list[list[int]] = [part for part in parts if 0 < len(part) < len(rows)]
    best = set(min(usable, key=order))
    return (
        [row for index, row in enumerate(rows) if index not in best],
        [row for index, row in enumerate(rows) if index in best],
    )


def _strata(rows: Sequence[Cut], column: str) -> list[str]:
    """The label of each row by which parts are stratified, all the same where not every row has one, or none counts."""
    values = [read_field(row, column) if column else None for row in rows]
    return [""] * len(rows) if None in values else [str(value) for value in values]


def _draw(
    rows: Sequence[Cut], groups: Sequence[str] | None, stratify: str, num_parts: int, seed: int
) -> list[list[int]]:
    """Indices of disjoint parts of about equal size, drawn by group and stratified.

    rows: what is drawn from.
    groups: of each row, None where each is on its own.
    stratify: the column whose values have about equal shares in all parts.
    num_parts: how many parts.
    seed: of what is drawn.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = _strata(rows, stratify)
    if Counter(labels).most_common(1)[0][1] < num_parts:  # numbers rather than classes
        labels = [""] * len(rows)
    splitter: Callable[..., Any] = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():  # a class with fewer rows than there are parts is as well spread as it can be
        warnings.simplefilter("ignore", UserWarning)
        parts = list(splitter(num_parts, shuffle=True, random_state=seed).split(np.zeros(len(rows)), labels, groups))
    return [[int(index) for index in test] for _, test in parts]
