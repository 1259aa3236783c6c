"""Every part of a manifest row has its type, or the line is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import read_manifest
from audiossl.data.row_types import wrong_part

WRONG = {
    ("id",): ["", 7, None, "\ud800", "a\x00b"],
    ("start",): ["0", None, float("nan"), 1e300, True],
    ("duration",): ["1", 0, -1, float("inf"), [], None],
    ("channel",): ["0", -1, 10**30, [], [0, "1"], True],
    ("supervisions",): [{"a": 1}, "x"],
    ("custom",): [["a"], 5],
    ("supervisions", 0, "text"): [3, ["a"], "\ud800"],
    ("supervisions", 0, "speaker"): [3, {}],
    ("supervisions", 0, "custom"): ["label"],
    ("supervisions", 0, "duration"): ["1", float("nan")],
    ("recording", "sampling_rate"): ["16000", 0, -8000, 0.5],
    ("recording", "num_samples"): [None, "1", -5],
    ("recording", "duration"): ["1", float("inf")],
    ("recording", "sources", 0, "channels"): [0, ["0"], [-1], []],
    ("recording", "channel_ids"): [0, ["0"]],
    ("recording", "sources", 0, "source"): [3, "a\x00.wav"],
}


def changed(document: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A copy with that value at that place."""
    document = json.loads(json.dumps(document))
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return document


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in WRONG.items() for value in values])
def test_a_part_of_another_type_is_one_sentence(
    corpus: Path, tmp_path: Path, place: tuple[str | int, ...], value: Any
) -> None:
    first, second = gzip.decompress((corpus / "dev.jsonl.gz").read_bytes()).splitlines()[:2]
    bad = json.dumps(changed(json.loads(second), place, value))
    path = tmp_path / "rows.jsonl"
    path.write_bytes(first + b"\n" + bad.encode() + b"\n")
    with pytest.raises(ManifestError, match=r"rows\.jsonl line 2 "):
        list(read_manifest(path))


def test_good_rows_have_no_wrong_part(corpus: Path) -> None:
    cuts = list(read_manifest(corpus / "train.jsonl.gz"))
    assert [wrong_part(cut) for cut in cuts] == [""] * len(cuts)
    assert wrong_part(cuts[0].append(cuts[1]).pad(duration=5.0)) == ""
