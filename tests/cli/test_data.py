"""`audiossl data`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toys.annotations import RAVEN
from toys.core import LABELS
from typer.testing import CliRunner

from audiossl.cli.data import app
from audiossl.data.fields import read_field, read_labels
from audiossl.data.manifests import read_manifest

Cli = Callable[..., Any]


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


def test_data_commands(audiossl: Cli, corpus: Path, tmp_path: Path) -> None:
    assert audiossl("data", "from-csv", corpus.parent / "table.csv", tmp_path / "made").code == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {f"{s}.jsonl.gz" for s in ("train", "dev", "test")}
    assert audiossl("data", "validate", tmp_path / "made" / "train.jsonl.gz").code == 0
    counted = json.loads(audiossl("data", "stats", tmp_path / "made" / "test.jsonl.gz", "--json").out)
    assert counted["splits"]["test"]["labels"] == dict.fromkeys(LABELS, 4)


def test_commands(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    path, out = table("day1.Table.1.selections.txt", RAVEN), tmp_path / "out"
    run = CliRunner().invoke
    done = run(
        app, ["from-annotations", str(path), "--out", str(out), "--rows", "calls", "--audio-root", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert [read_field(cut, "label") for cut in read_manifest(out / "all.jsonl.gz")] == ["phee", 'twitter "short"']
    windows = ["--rows", "windows", "--window-s", "0.5", "--hop-s", "0.25", "--audio-root", str(tmp_path)]
    assert run(app, ["from-annotations", str(path), "--out", str(out), *windows]).exit_code == 0
    cuts = read_manifest(out / "all.jsonl.gz")
    twitter = ['twitter "short"']
    assert [read_labels(cut, "label") for cut in cuts] == [[], ["phee"], ["phee"], [], twitter, twitter, []]
    whole = ["--rows", "recordings", "--audio-root", str(tmp_path)]
    assert run(app, ["from-annotations", str(path), "--out", str(tmp_path / "whole"), *whole]).exit_code == 0
    (recording,) = read_manifest(tmp_path / "whole" / "all.jsonl.gz")
    calls = [[0.5, 0.9, "phee"], [1.25, 1.5, 'twitter "short"']]
    assert (recording.start, recording.supervisions[0].custom["calls"]) == (0.0, calls)
    split = ["split", str(out / "all.jsonl.gz"), "--out", str(tmp_path / "split"), "--by", "item"]
    assert run(app, split).exit_code == 0
    assert sum(len(read_manifest(tmp_path / "split" / f"{name}.jsonl.gz")) for name in ("train", "dev", "test")) == 7


def test_nothing_is_cut_off_in_a_narrow_terminal(sound, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = ["path,label,split"]
    for number, label in enumerate(("1", "1.0", "1")):
        sound(f"{number}.wav", 4000, 8000 * (1 + number))
        lines.append(f"{number}.wav,{label},a_split_with_a_very_long_name")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    made = CliRunner().invoke(app, ["from-csv", str(tmp_path / "t.csv"), str(tmp_path / "out")])
    assert made.exit_code == 0
    assert all(name in made.output for name in ("median s", "labels", "speakers", "16000"))
    assert "…" not in made.output
    assert "a_split_with_a_very_long_name" in "".join(line.split("  ")[0].strip() for line in made.output.split("\n"))
    doubt = "The labels '1' and '1.0' may be one."
    assert doubt in made.output
    path = str(tmp_path / "out" / "a_split_with_a_very_long_name.jsonl.gz")
    checked = CliRunner().invoke(app, ["validate", "--no-read-audio", path])
    assert checked.exit_code == 0
    assert f"{path}: {doubt}" in checked.output


def test_tables_without_a_row(table, day, tmp_path) -> None:  # type: ignore[no-untyped-def]
    day()
    path = table("day1.Table.1.selections.txt", RAVEN.split("\n")[0] + "\n")
    options = ["from-annotations", str(path), "--out", str(tmp_path / "out"), "--audio-root", str(tmp_path)]
    calls = CliRunner().invoke(app, [*options, "--rows", "calls"])
    assert re.search(r"day1\.Table\.1\.selections\.txt: no annotation there", str(calls.exception))
    assert CliRunner().invoke(app, [*options, "--rows", "windows"]).exit_code == 0
    assert [read_labels(cut, "label") for cut in read_manifest(tmp_path / "out" / "all.jsonl.gz")] == [[], [], []]


def test_shards_are_written_moved_and_read(own_corpus, tmp_path, audiossl):
    train, out = own_corpus / "train.jsonl.gz", tmp_path / "shards"
    made = audiossl("data", "shards", train, own_corpus / "dev.jsonl.gz", "--out", out, "--rows", "4")
    assert made.code == 0, made.err
    assert "Shards: 3. Rows: 9. Hours: 0.00." in made.out
    again = audiossl("data", "shards", train, own_corpus / "dev.jsonl.gz", "--out", out, "--rows", "4")
    assert "Shards: 3 (3 were there). Rows: 9." in again.out
    assert audiossl("data", "validate", out / "train.jsonl.gz").code == 0
    moved = audiossl("data", "from-shards", out, "--out", tmp_path / "manifests")
    assert moved.code == 0, moved.err
    assert len(read_manifest(tmp_path / "manifests" / "train.jsonl.gz")) == 6
    for arguments, message in (
        (("shards", train, "--out", own_corpus), "is an input of this command"),
        (("shards", train, train, "--out", tmp_path / "x"), "Two of the manifests have one name"),
        (("shards", train, "--out", out), "is there already, of other rows"),
        (("from-shards", out, "--out", out), "is an input of this command"),
        (("from-shards", tmp_path / "none", "--out", tmp_path / "x"), "There is no"),
    ):
        found = audiossl("data", *arguments)
        assert (found.code, found.err.count("\n")) == (2, 1), found.err
        assert message in found.err


def test_what_no_shard_can_have_is_named(own_corpus, tmp_path, audiossl):
    bad = sorted((own_corpus.parent / "audio" / "train").glob("*.wav"))[0]
    bad.write_bytes(b"RIFF")
    train = own_corpus / "train.jsonl.gz"
    assert audiossl("data", "shards", train, "--out", tmp_path / "out").code == 2
    found = audiossl("data", "shards", train, "--out", tmp_path / "out", "--skip-bad")
    assert found.code == 0
    assert "Shards: 1. Rows: 5." in found.out
    assert "cannot be read as sound" in found.err
    assert "Left out: 1." in found.err


def test_what_other_tools_have_written(sound, tmp_path, audiossl):
    sound("in/train/a.wav"), sound("clips/a.wav")
    rows = ['{"audio_filepath": "in/train/a.wav", "text": "hi"}', '{"audio_filepath": "lost.wav"}']
    (tmp_path / "test_manifest.json").write_text("\n".join(rows))
    (tmp_path / "validated.tsv").write_text("client_id\tpath\tsentence\ns1\ta.wav\thi\ns2\tlost.mp3\thi\n")
    (tmp_path / "t.csv").write_text("path,label\nin/train/a.wav,x\nlost.wav,y\n")
    for command, split, kind in (
        (("from-nemo", tmp_path / "test_manifest.json", "--out", tmp_path / "nemo"), "nemo/test", "error"),
        (("from-common-voice", tmp_path, "--out", tmp_path / "cv"), "cv/validated", "error"),
        (("from-csv", tmp_path / "t.csv", tmp_path / "csv"), "csv/all", "error"),
        (("from-audiofolder", tmp_path / "in", "--out", tmp_path / "af"), "af/train", ""),
    ):
        found = audiossl("data", *command)
        assert (found.code, "is missing; correct the path" in found.err) == ((2, True) if kind else (0, False))
        found = audiossl("data", *command, "--skip-bad")
        assert found.code == 0, found.err
        assert len(read_manifest(tmp_path / f"{split}.jsonl.gz")) == 1
        assert ("Left out: 1." in found.err) == bool(kind)
    refused = audiossl("data", "from-hf", tmp_path, "--out", tmp_path)
    assert "is an input of this command" in refused.err
