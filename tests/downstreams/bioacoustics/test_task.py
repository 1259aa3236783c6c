"""Single labels and windows with many: a batch equals its items, tables, warnings, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toys.calls import RATE, batch_of, toy

from audiossl.core.config import structured
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.bioacoustics.task import Bioacoustics
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train

torch.set_num_threads(1)


@pytest.mark.parametrize("options", [{}, {"pooling": "statistics", "hidden": [16, 8], "projector_width": None}])
@pytest.mark.parametrize("kind", [Bioacoustics, BioacousticWindows])
def test_a_batch_equals_its_items(kind: type, options: dict[str, Any]) -> None:
    task, batch = toy(kind, **options).eval(), batch_of(["lo", "hi", "lo", "hi"])
    together = task.predict(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        one = slice(row, row + 1)
        (alone,) = task.predict(Batch(batch.wavs[one, :length], batch.lengths[one], batch.cuts[one]))
        assert alone["scores"] == pytest.approx(together[row]["scores"], abs=1e-5)


def test_single_label_tables_name_classes_that_do_not_occur() -> None:
    task = toy(Bioacoustics, labels=["hi", "lo", "never"]).eval()
    rows = task.predict(batch_of(["lo", "hi", "lo"]))
    table, scores = task.tables(rows)
    assert scores.title == "Scores"
    assert [row[:2] for row in table.rows] == [["hi", 1], ["lo", 2], ["never", 0]]
    assert "never" in table.note
    assert task.monitor.name == "uar"


def test_a_leak_is_a_warning_where_nothing_forbids_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(RATE * 2)
    soundfile.write(tmp_path / "tape.wav", samples, RATE)
    lines = ["path,start,end,label,split"]
    for number in range(8):
        split = ("train", "train", "dev", "test")[number // 2]
        lines.append(f"tape.wav,{number * 0.2:.1f},{number * 0.2 + 0.2:.1f},{number % 2},{split}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    overrides = [
        "downstream=bioacoustics",
        "upstream=log_mel",
        f"data.dir={tmp_path}",
        "features=off",
        "trainer.steps=1",
    ]
    train(read_experiment(None, overrides), tmp_path / "run")
    warned = [record.getMessage() for record in caplog.records if "source recording" in record.getMessage()]
    assert [message.split(" share")[0] for message in warned] == [
        "Warning: train & dev",
        "Warning: train & test",
        "Warning: dev & test",
    ]
    assert all("tape.wav" in message for message in warned)
    assert len(read_manifest(tmp_path / "test.jsonl.gz")) == 2


def test_settings() -> None:
    sound = read_experiment(None, ["downstream=bioacoustics", "setting=default"])
    assert (sound.data.disjoint, sound.task["class_weights"]) == ("recording", True)
    published = read_experiment(None, ["downstream=bioacoustics", "setting=infant_marmosets"])
    config = structured(Bioacoustics.Config, published.task)
    assert (config.pooling, config.hidden, config.projector_width) == ("statistics", [128, 64, 32], None)
    assert published.trainer.steps == 30 * -(-51044 // 32) - 30 * 1  # 30 epochs of whole batches
    assert published.data.disjoint == ""
