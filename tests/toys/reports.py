"""Run folders in the layout that training and evaluation write, and what a test asks of a page."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiossl.core.types import Table
from audiossl.metrics.classification import classification_metrics, confusion_matrix
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.report import build_report

LABELS = ("zero", "one", "two")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page(HTMLParser):
    """What a test asks of a page: its tags, its addresses and ids, and its text by enclosing tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1:] != ["style"]:
            self.texts.append(" ".join(data.split()))

    def __contains__(self, text: str) -> bool:
        return any(text in each for each in self.texts)


def make_run(folder: Path, *, upstream: str = "log_mel", task: str | None = "utterance", losses: int = 60) -> Path:
    """A run that has been trained but not evaluated."""
    folder.mkdir(parents=True)
    config = f"upstream: {upstream}\nupstream_options:\n  weights: pretrained\n"
    config += f"interface: weighted_sum\ndownstream: {task}\n" if task else "objective: {}\n"
    (folder / "config.yaml").write_text(config)
    facts = {"command": f"audiossl train --out {folder.name}", "num_parameters": 5_400_000, "num_trainable": 1_234}
    (folder / "run.json").write_text(json.dumps({**facts, "versions": {"torch": "2.11.0"}}))
    rows: list[dict[str, Any]] = []
    for step in range(1, losses + 1):
        rows.append({"step": step, "split": "train", "loss": 2.3 / step, "lr": 1e-3, "grad_norm": 1.0})
        if step % 20 == 0:
            rows.append({"step": step, "split": "dev", "loss": 2.4 / step, "accuracy": 1 - 1 / step})
    write_lines(folder / "log.jsonl", rows)
    if task:
        weights = {"name": "weighted_sum", "layer_weights": {"layers": [0.2, 0.5, 0.3]}}
        (folder / "interface.json").write_text(json.dumps(weights))
    return folder


def evaluate(
    run: Path,
    predicted: Sequence[str],
    *,
    split: str = "test",
    labels: Sequence[str] = LABELS,
    monitor: str = "accuracy",
    per_speaker: int = 4,
) -> Path:
    """Give the run an evaluation; the target of item i is labels[i % C], its speaker i // per_speaker."""
    targets = [labels[index % len(labels)] for index in range(len(predicted))]
    folder = run / split
    folder.mkdir()
    rows = [
        {
            "id": f"clip{index}",
            "target": target,
            "predicted": guess,
            "probability": (index + 1) / (len(predicted) + 1),
            "scores": [0.0] * len(labels),
            "speaker": f"voice{index // per_speaker}",
            "duration_s": 0.5,
        }
        for index, (target, guess) in enumerate(zip(targets, predicted, strict=True))
    ]
    write_lines(folder / "predictions.jsonl", rows)
    metrics = classification_metrics(targets, list(predicted), clusters_of_rows(rows))
    facts = {
        "upstream": "log_mel",
        "interface": "weighted_sum",
        "downstream": "utterance",
        "split": split,
        "num_items": len(rows),
        "monitor": monitor,
        "labels": list(labels),
        "confusion": confusion_matrix(targets, list(predicted), list(labels)).tolist(),
        "metrics": {name: metric.as_json() for name, metric in metrics.items()},
        "created": "2026-01-02T03:04:05+00:00",
    }
    (folder / "metrics.json").write_text(json.dumps(facts))
    return run


def guesses(num_items: int, num_wrong: int, labels: Sequence[str] = LABELS) -> list[str]:
    """Predictions whose first `num_wrong` items are wrong."""
    return [labels[(index + (index < num_wrong)) % len(labels)] for index in range(num_items)]


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_page(runs: Sequence[Path], out: Path) -> Page:
    made = build_report(runs, out)
    assert made == out / "index.html"
    return Page(made.read_text(encoding="utf-8"))


RATE = 8000


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE)), RATE)
    return path


def asr_run(folder: Path, errors: list[int], words: int = 4, tables: list[Table] | None = None) -> Path:
    """An evaluated run whose rows count errors among words."""
    (folder / "test").mkdir(parents=True)
    (folder / "config.yaml").write_text("upstream: log_mel\ndownstream: asr\n")
    (folder / "run.json").write_text("{}")
    rows = [
        {
            "id": f"u{n}",
            "target": "a b c d",
            "predicted": "a b",
            "num_errors": wrong,
            "num_units": words,
            "speaker": f"s{n}",
        }
        for n, wrong in enumerate(errors)
    ]
    (folder / "test" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts: dict[str, Any] = {
        "downstream": "asr",
        "num_items": len(rows),
        "metrics": {"wer": {"value": sum(errors) / (words * len(errors)), "low": None, "high": None}},
        "tables": [table._asdict() for table in tables or []],
    }
    (folder / "test" / "metrics.json").write_text(json.dumps(facts))
    return folder
