"""Leaks: what two splits share, which makes a test easier than it looks.

Problems within one manifest are the matter of `audiossl.data.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import ManifestError
from audiossl.data.fields import read_field
from audiossl.data.reading import path_of
from audiossl.data.shard_members import ShardMember

if TYPE_CHECKING:
    from lhotse.cut import Cut


def source_of(cut: Cut) -> str:
    """The source recording of a row: its column `recording`, which rows cut from one tape share, else its file."""
    named, path = read_field(cut, "recording"), path_of(cut)
    if not named and path and ShardMember.parse(path):
        return str(cut.recording.id)  # each part of a recording is a member of its own
    return named or path or cut.id


def recording_name(cut: Cut) -> str:
    """What the source recording of a row is called, without the folder that it lies in on this machine.

    Its column `recording`, else the recording's id with the suffix of its file.
    """
    named, recording = read_field(cut, "recording"), getattr(cut, "recording", None)
    if named or recording is None:
        return named or cut.id
    suffix = Path(path_of(cut) or "").suffix
    return str(recording.id) if recording.id.endswith(suffix) else f"{recording.id}{suffix}"


def shared_values(splits: Mapping[str, Iterable[Cut]], value_of: Callable[[Cut], str | None]) -> dict[str, list[str]]:
    """By 'split & split' what two splits share, sorted. Pairs that share nothing are left out."""
    values = {split: {value for cut in rows if (value := value_of(cut)) is not None} for split, rows in splits.items()}
    pairs = {f"{a} & {b}": sorted(values[a] & values[b]) for a, b in combinations(values, 2)}
    return {pair: shared for pair, shared in pairs.items() if shared}


def check_leaks(splits: Mapping[str, Iterable[Cut]], disjoint: str = "") -> list[str]:
    """What makes a test easier than it looks: a sentence for each pair of splits that share a source recording.

    disjoint: a field ('speaker', 'label', ...) of which no value may be in two splits, or 'recording'. Raises
    ManifestError for the first that is, and for a row without one.
    """
    if disjoint:
        _check_disjoint(splits, disjoint)
    return [
        f"{pair} share {len(shared)} source recording(s), for instance {shared[0]}: neighbouring parts of one "
        f"recording have the same individual, background and microphone, so the result will be too good; split by "
        f"recording with `audiossl data split`."
        for pair, shared in shared_values(splits, source_of).items()
    ]


def _check_disjoint(splits: Mapping[str, Iterable[Cut]], name: str) -> None:
    for split, rows in splits.items():
        for cut in rows:
            if name != "recording" and read_field(cut, name) is None:
                raise ManifestError(
                    f"Row {cut.id} of {split} has nothing in the field {name!r}, by which data.disjoint wants the "
                    f"splits apart; fill it in, or leave data.disjoint out."
                )
    shared = shared_values(splits, source_of if name == "recording" else lambda cut: read_field(cut, name))
    for pair, values in shared.items():
        raise ManifestError(
            f"{pair} share {len(values)} of {name}, for instance {values[0]!r}, and data.disjoint={name} forbids it; "
            f"split again with `audiossl data split --by {name}`."
        )
