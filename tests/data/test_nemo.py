"""Manifests of NeMo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import read_field
from audiossl.data.nemo import cuts_from_nemo


def written(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_rows_are_what_nemo_reads(sound, tmp_path):
    sound("ü/a.wav", 16000)
    whole = {"audio_filepath": "ü/a.wav", "duration": 1.0, "text": "hello", "speaker": 7, "lang": "en", "snr": 2.5}
    part = {
        "audio_filepath": str(tmp_path / "ü/a.wav"),
        "offset": 0.25,
        "duration": 0.5,
        "command": "yes",
        "taken": [1],
    }
    first = {"audio_filepath": "ü/a.wav", "duration": 0.4}
    rest = {"audio_filepath": "ü/a.wav", "offset": 0.75, "text": None}
    manifest = written(tmp_path / "train_manifest.json", whole, part, first, rest)
    dev = written(tmp_path / "val.jsonl", whole)
    found = cuts_from_nemo([manifest, dev], columns={"label": "command"})  # a column that no row of dev has
    cuts = list(found["train"])
    assert [(cut.start, cut.duration) for cut in cuts] == [(0, 1.0), (0.25, 0.5), (0, 0.4), (0.75, 0.25)]
    told = {name: read_field(cuts[0], name) for name in ("text", "speaker", "language", "snr", "label")}
    assert told == {"text": "hello", "speaker": "7", "language": "en", "snr": "2.5", "label": None}
    assert (read_field(cuts[1], "label"), read_field(cuts[1], "taken")) == ("yes", "1")
    assert read_field(cuts[3], "text") is None
    assert [cut.id for cut in found["dev"]] == ["ü/a"]


BAD = [
    ("not json", r"line 2 is not JSON"),
    ([1], r"line 2 must hold a JSON object, not a list"),
    ({"audio_filepath": "lost.wav"}, r"line 2: .*lost\.wav is missing"),
    ({"audio_filepath": "empty.wav"}, r"line 2: .*empty\.wav is empty"),
    ({"text": "x"}, r"line 2 has no path"),
    ({"audio_filepath": "a.wav", "offset": "x"}, r"line 2: offset is 'x', not a number"),
    ({"audio_filepath": "a.wav", "offset": 0.5, "duration": 3}, r"line 2: start 0\.5 s to end 3\.5 s is no part"),
    ({"audio_filepath": "a.wav", "duration": -1}, r"line 2: start 0 s to end -1 s is no part"),
    ({"audio_filepath": "s3://b/a.wav"}, r"line 2: s3://b/a\.wav is an address"),
    ({"audio_filepath": "a.wav", "shard_id": 3}, r"line 2 is of the tar 3"),
    ({"audio_filepath": "a.wav"}, r"line 2: a is there already"),
]


@pytest.mark.parametrize(("row", "message"), BAD)
def test_what_cannot_be_used_is_named(sound, tmp_path, row, message):
    sound("a.wav")
    (tmp_path / "empty.wav").touch()
    manifest = written(tmp_path / "train.json", {"audio_filepath": "a.wav", "snr": None}, row)
    with pytest.raises(AudiosslError, match=message):
        cuts_from_nemo([manifest])
    bad = BadRows(skip=True)
    assert [cut.id for cut in cuts_from_nemo([manifest], bad=bad)["train"]] == ["a"]
    assert list(bad.left_out) == [f"{manifest} line 2"]


def test_files_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(AudiosslError, match=r"There is no manifest .*none\.json"):
        cuts_from_nemo([tmp_path / "none.json"])
    with pytest.raises(AudiosslError, match=r"e\.json has no row"):
        cuts_from_nemo([written(tmp_path / "e.json")])
    lost = written(tmp_path / "train.json", {"audio_filepath": "lost.wav"})
    with pytest.raises(AudiosslError, match=r"train\.json has no column 'word'"):
        cuts_from_nemo([lost], columns={"label": "word"})
    with pytest.raises(
        AudiosslError, match=r"has no row that can be used, the first: .*line 1: .*lost\.wav is missing"
    ):
        cuts_from_nemo([lost], bad=BadRows(skip=True))
