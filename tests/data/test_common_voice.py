"""Folders of Common Voice."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.data.bad_rows import BadRows
from audiossl.data.common_voice import cuts_from_common_voice
from audiossl.data.fields import read_field

HEADER = "client_id\tpath\tsentence\tlocale\tage\n"


def table(folder: Path, name: str, *lines: str) -> None:
    (folder / f"{name}.tsv").write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_tables_are_splits_and_clients_are_speakers(sound, tmp_path):
    sound("clips/a.wav"), sound("clips/ü 2.wav", 4000, 48000)
    table(tmp_path, "validated", 'c"1\ta.wav\tHe said "hi\tde\t', "c2\tü 2.wav\tTschüß, du\tde\ttwenties")
    cuts = list(cuts_from_common_voice(tmp_path)["validated"])
    told = [{name: read_field(cut, name) for name in ("speaker", "text", "language", "age")} for cut in cuts]
    assert told[0] == {"speaker": 'c"1', "text": 'He said "hi', "language": "de", "age": None}
    assert told[1] == {"speaker": "c2", "text": "Tschüß, du", "language": "de", "age": "twenties"}
    assert (cuts[1].id, cuts[1].sampling_rate, cuts[1].num_samples) == ("ü 2", 48000, 4000)
    table(tmp_path, "train", "c1\ta.wav\tx\tde\t")
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration\n")
    assert list(cuts_from_common_voice(tmp_path)) == ["train"]
    assert sorted(cuts_from_common_voice(tmp_path, ["train", "validated"])) == ["train", "validated"]


def test_what_cannot_be_used_is_named(sound, tmp_path):
    with pytest.raises(AudiosslError, match=r"is no folder of Common Voice, which has clips/"):
        cuts_from_common_voice(tmp_path)
    sound("clips/a.wav")
    table(tmp_path, "train", "c1\ta.wav\tx\tde\t", "c2", "c3\tlost\tx\tde\t", "c4\t\tx\tde\t")
    with pytest.raises(AudiosslError, match=r"train\.tsv line 3 does not have the 5 fields"):
        cuts_from_common_voice(tmp_path)
    bad = BadRows(skip=True)
    assert len(cuts_from_common_voice(tmp_path, bad=bad)["train"]) == 1
    assert [where.rpartition(" ")[2] for where in bad.left_out] == ["3", "4", "5"]
    assert "lost.mp3 is missing" in bad.left_out[f"{tmp_path / 'train.tsv'} line 4"]
    with pytest.raises(AudiosslError, match=r"has no tset\.tsv; choose among train"):
        cuts_from_common_voice(tmp_path, ["tset"])
    (tmp_path / "train.tsv").write_text("path\tsentence\n")
    with pytest.raises(AudiosslError, match=r"train\.tsv has no column 'client_id'"):
        cuts_from_common_voice(tmp_path)
