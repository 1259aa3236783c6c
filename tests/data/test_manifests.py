"""Manifest files, the check of all that can be wrong with them, and the command line on top."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from lhotse import CutSet, SupervisionSegment
from typer.testing import CliRunner

from audiossl.cli.data import app
from audiossl.core.errors import ManifestError
from audiossl.data.checks import stats, validate
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_folder


def test_what_is_written_is_read(sound, tmp_path):
    for number in range(3):
        sound(f"in/ptak-żółty/{number}.wav", 400 + number)
    splits = cuts_from_folder(tmp_path / "in")
    paths = write_manifests(splits, tmp_path / "out")
    assert paths == {"all": tmp_path / "out" / "all.jsonl.gz"}
    cuts = read_manifest(paths["all"])
    assert cuts.is_lazy
    assert len(cuts) == 3
    assert [cut.to_dict() for cut in cuts] == [cut.to_dict() for cut in splits["all"]]
    assert [cut.id for cut in cuts] == [cut.id for cut in cuts]  # it can be walked again
    assert [cut.id for cut in CutSet.from_file(paths["all"])] == [cut.id for cut in cuts]
    before = paths["all"].read_bytes()
    write_manifests(splits, tmp_path / "out")
    assert paths["all"].read_bytes() == before


def test_a_failed_write_leaves_the_old_manifest(row, tmp_path):
    (path,) = write_manifests({"all": CutSet.from_cuts([row("a", 400)])}, tmp_path).values()
    broken = row("b", 400)
    broken.custom = {"what": object()}
    with pytest.raises(TypeError):
        write_manifests({"all": CutSet.from_cuts([row("a", 400), broken])}, tmp_path)
    assert [cut.id for cut in read_manifest(path)] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["all.jsonl.gz"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("lost.jsonl", None, r"There is no .*lost\.jsonl"),
        ("bare.jsonl", b"", r"bare\.jsonl is empty"),
        ("bare.jsonl.gz", gzip.compress(b"\n", mtime=0), r"bare\.jsonl\.gz is empty"),
        ("prose.jsonl", b"dear reader\n", r"prose\.jsonl line 1 is not a manifest row as JSON"),
        ("list.jsonl", b"[1, 2]\n", r"list\.jsonl line 1 is not a manifest row"),
        ("plain.jsonl.gz", b"{}\n", r"plain\.jsonl\.gz is not a whole JSONL manifest"),
        ("cut.jsonl.gz", gzip.compress(b'{"id": "x"}\n' * 9, mtime=0)[:-12], r"cut\.jsonl\.gz (is not a whole|line 1)"),
        ("latin.jsonl", b"\xe9\n", r"latin\.jsonl is not a whole JSONL manifest"),
        (
            "supervisions.jsonl",
            b'{"id": "s", "recording_id": "r", "start": 0, "duration": 1}\n',
            r"supervisions\.jsonl line 1 is a SupervisionSegment, not a cut",
        ),
    ],
)
def test_files_that_are_no_manifest(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / name)


def test_a_row_further_down_is_named_by_its_line(row, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a", 400).to_dict()) + "\n\n{\n")
    cuts = read_manifest(path)
    with pytest.raises(ManifestError, match=r"rows\.jsonl line 3 is not a manifest row as JSON"):
        list(cuts)


def test_validate_finds_everything(sound, row, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    spoilt = noise.copy()
    spoilt[5] = np.nan
    half = sound("half.flac", noise)
    half.write_bytes(half.read_bytes()[:9000])
    (tmp_path / "void.wav").touch()
    good = sound("good.wav", noise)
    files = {
        "lost": row("lost", 16000, path=tmp_path / "lost.wav"),
        "void": row("void", 16000, path=tmp_path / "void.wav"),
        "half": row("half", 16000, path=half),
        "spoilt": row("spoilt", 16000, path=sound("spoilt.wav", spoilt, subtype="FLOAT")),
        "silent": row("silent", 16000, path=sound("silent.wav", np.zeros(16000, np.float32))),
        "rate": row("rate", 16000, path=sound("rate.wav", noise, 8000)),
        "length": row("length", 16001, path=good),
        "outside": row("outside", 16000, path=good, start=8000, kept=9000),
        "brief": row("brief", 16000, path=good, kept=100),
    }
    cuts = [row("good", 16000, path=good), *files.values(), row("good", 16000, path=good)]
    found = {problem.id: problem for problem in validate(cuts)}
    messages = {
        "lost": r"lost.wav is missing",
        "void": r"void.wav is empty",
        "half": r"half.flac is truncated or damaged",
        "spoilt": r"spoilt.wav holds NaN",
        "silent": r"silent.wav is silent",
        "rate": "says 16000 Hz, but .*rate.wav has 8000 Hz",
        "length": r"16001 samples\), but .*good.wav lasts",
        "outside": "outside its recording of 1 s",
        "brief": "too short",
        "good": "the id good occurs again",
    }
    assert len(validate(cuts)) == len(messages)
    for name, message in messages.items():
        assert re.search(message, found[name].message), name
        assert found[name].path == str(tmp_path / f"{name}.wav") or name in ("half", "length", "outside", "brief")
    headers_only = {problem.id for problem in validate(cuts, read_audio=False)}
    assert headers_only == messages.keys() - {"half", "spoilt", "silent"}
    assert validate([row("good", 16000, path=good)]) == []


def labelled(cut, label, speaker):
    segment = SupervisionSegment(cut.id, cut.id, 0.0, cut.duration, speaker=speaker, custom={"label": label})
    return replace(cut, supervisions=[segment])


def test_stats(row):
    train = [
        labelled(row("a", 16000, path="a.wav"), "cat", "anna"),
        labelled(row("b", 8000, 8000, path="b.wav"), "dog", "ben"),
    ]
    test = [labelled(row("c", 48000, path="b.wav"), "cat", "ben")]
    alone = stats(train)
    assert (alone["num_rows"], alone["sample_rates_hz"]) == (2, {8000: 1, 16000: 1})
    assert (alone["labels"], alone["speakers"]) == ({"cat": 1, "dog": 1}, {"anna": 1, "ben": 1})
    assert alone["hours"] == pytest.approx(2 / 3600)
    assert alone["duration_s"]["median"] == 1
    both = stats({"train": train, "test": test})
    assert both["splits"]["train"] == alone
    assert both["shared_speakers"] == {"train & test": ["ben"]}
    assert both["shared_files"] == {"train & test": ["b.wav"]}


def test_the_command_line(sound, tmp_path):
    run = CliRunner()
    for name in ("train/cat/1.wav", "train/dog/1.wav", "test/cat/2.wav"):
        sound(f"in/{name}", 4000)
    made = run.invoke(app, ["from-folder", str(tmp_path / "in"), str(tmp_path / "out")])
    assert made.exit_code == 0
    paths = [str(tmp_path / "out" / f"{split}.jsonl.gz") for split in ("train", "test")]
    assert all(f"Wrote {path}" in made.output.replace("\n", " ").replace("Wrote  ", "Wrote ") for path in paths)
    checked = run.invoke(app, ["validate", *paths])
    assert checked.exit_code == 0
    assert "2 rows, 0 problems" in checked.output
    counted = run.invoke(app, ["stats", "--json", *paths])
    assert json.loads(counted.output)["splits"]["train"]["labels"] == {"cat": 1, "dog": 1}
    assert "train" in run.invoke(app, ["stats", *paths]).output
    (tmp_path / "in/test/cat/2.wav").unlink()
    checked = run.invoke(app, ["validate", *paths])
    assert checked.exit_code == 1
    assert "test/cat/2" in checked.output
    assert "is missing" in checked.output


def test_the_command_line_on_tables(sound, tmp_path):
    run = CliRunner()
    wav = sound("a.wav", 4000)
    (tmp_path / "t.csv").write_text("file\na.wav\n")
    made = run.invoke(app, ["from-csv", str(tmp_path / "t.csv"), str(tmp_path / "csv"), "--column", "path=file"])
    assert made.exit_code == 0
    assert len(read_manifest(tmp_path / "csv" / "all.jsonl.gz")) == 1
    wrong = run.invoke(app, ["from-csv", str(tmp_path / "t.csv"), str(tmp_path / "csv"), "--column", "file"])
    assert "has no equals sign" in str(wrong.exception)
    (tmp_path / "wav.scp").write_text(f"a {wav}\n")
    made = run.invoke(app, ["from-kaldi", str(tmp_path), str(tmp_path / "kaldi")])
    assert made.exit_code == 0
    assert [cut.id for cut in read_manifest(tmp_path / "kaldi" / "all.jsonl.gz")] == ["a"]
