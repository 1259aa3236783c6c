"""Emissions that are kept, decoded again without encoder and sound, by models made on the command line."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from toys.asr import RATE, sentence, spell

pytest.importorskip("flashlight.lib.text.decoder")


def test_evaluate_keeps_emissions_and_decode_needs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, audiossl: Callable[..., Any]
) -> None:
    def done(*arguments: object) -> str:
        outcome = audiossl(*arguments)
        assert outcome.code == 0, outcome.err
        return str(outcome.out)

    monkeypatch.chdir(tmp_path)
    rng = random.Random(1)
    with open("table.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "transcript", "split", "speaker"])
        for number in range(14):
            text = sentence(rng)
            soundfile.write(f"{number}.wav", spell(text)[0].numpy(), RATE, subtype="PCM_16")
            table.writerow([f"{number}.wav", text, ("train", "dev", "test")[max(0, number - 7) // 3], f"s{number % 2}"])
    done("data", "from-csv", "table.csv", "manifests")
    options = ["task.head.hidden=8", "trainer.steps=30", "trainer.lr=0.02", "data.batch_size=4"]
    options.append("stages.late.trainer.steps=2")  # the units are known to the last stage alone
    Path("recipe.yaml").write_text("downstream: asr\nupstream: log_mel\ndata:\n  dir: manifests\n")
    done("train", "recipe.yaml", "--out", "run", *options)
    made = done("lm", "train", "manifests/train.jsonl.gz", "--run", "run", "--order", 2, "--out", "lm.arpa")
    assert "n-grams by length" in made
    refused = audiossl("decode", "run")
    assert refused.code == 2
    assert "has no emissions of test by its best weights; make them: `audiossl evaluate" in refused.err
    for split in ("dev", "test"):
        done("evaluate", "run", "--split", split, "--keep-emissions")
    rows = (tmp_path / "run" / "test" / "predictions.jsonl").read_text()
    assert "log_probs" not in rows
    for number in range(14):
        Path(f"{number}.wav").unlink()
    plain = json.loads(done("decode", "run", "task.decoding=best_path", "--json"))
    assert plain["minus_best_path"]["value"] == 0.0
    again = [json.loads(line) for line in (tmp_path / "run" / "test" / "predictions.jsonl").read_text().splitlines()]
    before = [json.loads(line) for line in rows.splitlines()]
    assert [{**row, "audio": None} for row in again] == [{**row, "audio": None} for row in before]
    searched = json.loads(done("decode", "run", "task.decoding.lm=lm.arpa", "task.decoding.nbest=2", "--json"))
    assert searched["decoding"]["chosen_on_dev"]["tried"] == 35
    written = json.loads((tmp_path / "run" / "test" / "metrics.json").read_text())
    assert written["decoding"] == searched["decoding"]
    row = json.loads((tmp_path / "run" / "test" / "predictions.jsonl").read_text().splitlines()[0])
    assert row["nbest"][0]["text"] == row["predicted"]
    assert row["nbest"][0]["acoustic"] == row["acoustic"]
    done("lm", "train", "manifests/train.jsonl.gz", "--run", "run", "--units", "--out", "units.arpa")
    assert "minus best path" in done("decode", "run", "task.decoding.lm=units.arpa", "task.decoding.lexicon=none")
