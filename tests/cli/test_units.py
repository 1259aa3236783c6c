"""`audiossl units`, from recordings to figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audiossl import read_manifest
from audiossl.data.unit_files import read_unit_rows

Run = Callable[..., Any]


def test_fit_apply_and_stats(audiossl: Run, corpus: Path, tmp_path: Path) -> None:
    train, dev, units = corpus / "train.jsonl.gz", corpus / "dev.jsonl.gz", tmp_path / "units"
    fit = ("units", "fit", "mfcc", "-o", "cmvn=false", train, "--clusters", "7", "--starts", "1", "--out", units)
    done = audiossl(*fit)
    assert done.code == 0, done.err
    assert "7 units of layer 0 of mfcc from" in done.out
    assert "choose another --out, or replace them with --overwrite" in audiossl(*fit).err
    card = json.loads((units / "units.json").read_text())
    assert card["command"].startswith("audiossl units fit mfcc -o cmvn=false")
    # Applied: JSONL whole and in shards, Kaldi's text.
    out = tmp_path / "dev.units"
    told = json.loads(audiossl("units", "apply", units, dev, "--out", out, "--json").out)
    assert (told["rows"], told["rate_hz"], told["num_units"]) == (9, 100.0, 7)
    ids = {row.id for row in read_unit_rows(out)}
    assert ids == {cut.id for cut in read_manifest(dev)}
    assert audiossl("units", "apply", units, dev, "--out", tmp_path / "half", "--shard", "2/2").code == 0
    assert len(list(read_unit_rows(tmp_path / "half"))) == 4
    assert audiossl("units", "apply", units, dev, "--out", tmp_path / "text", "--format", "kaldi", "--runs").code == 0
    assert {line.split()[0] for line in (tmp_path / "text").read_text().splitlines()} == ids
    # Judged: a file alone, and fitted units on what the labels are of.
    assert "perplexity" in audiossl("units", "stats", out).out
    # A tone has one unit, noise has several.
    name = max(read_unit_rows(out), key=lambda row: len(set(row.units[:20].tolist()))).id
    ctm = tmp_path / "phones.ctm"
    ctm.write_text(f"{name} 1 0 0.1 a\n{name} 1 0.1 0.1 b\n")
    found = json.loads(audiossl("units", "stats", out, "--labels", ctm, "--json").out)
    assert (found["num_recordings"], found["num_labels"]) == (1, 2)
    assert 0 <= found["metrics"]["pnmi"]["value"] <= 1  # of twenty frames: 0 where both halves have the same units
    also = json.loads(audiossl("units", "stats", units, "--manifest", dev, "--labels", ctm, "--json").out)
    assert also["metrics"]["pnmi"]["value"] == found["metrics"]["pnmi"]["value"]
    by_speaker = audiossl("units", "stats", units, "--group", "speaker")
    assert "intervals over 2 speakers" in by_speaker.out


def test_what_cannot_be_is_one_sentence(audiossl: Run, corpus: Path, tmp_path: Path, toy_upstream: str) -> None:
    dev, units = corpus / "dev.jsonl.gz", tmp_path / "units"
    assert (
        "5000 clusters need as many frames"
        in audiossl("units", "fit", "mfcc", dev, "--clusters", "5000", "--out", units).err
    )
    audiossl("units", "fit", toy_upstream, dev, "--clusters", "4", "--starts", "1", "--no-cache", "--out", units)
    out = tmp_path / "x"
    assert "choose jsonl or kaldi" in audiossl("units", "apply", units, dev, "--out", out, "--format", "csv").err
    other = audiossl("units", "apply", units, dev, "--out", out, "--upstream", "mfcc")
    assert "mfcc is another encoder or has other weights" in other.err
    assert "name their manifest by --manifest" in audiossl("units", "stats", out, "--group", "speaker").err
    assert "There is no file of units" in audiossl("units", "stats", out).err
    (tmp_path / "a.ctm").write_text("nobody 1 0 1 a\n")
    assert (
        "No row has a label: the first label is of nobody"
        in audiossl("units", "stats", units, "--labels", tmp_path / "a.ctm").err
    )
