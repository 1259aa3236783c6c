"""`audiossl annotate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys.calls import RATE
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import ConfigError
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv, cuts_from_files
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.experiments.config import read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train


def test_from_annotations_to_annotations(
    run: Path, field: tuple[Path, list[Annotation]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows, training, mAP, a timeline; then tables for whole recordings whose events lie where the calls are."""
    folder, calls = field
    loaded = load_run(run)
    assert loaded.evaluate("test")["map"].value > 0.95
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["tables"][0]["title"] == "Classes"
    assert set(facts["decisions"]) == {"hi", "lo"}  # of dev, read from the checkpoint
    assert all(each["threshold"] != 0.5 for each in facts["decisions"].values())
    assert (run / "test" / "timeline_1.png").is_file()
    rows = [json.loads(line) for line in (run / "test" / "predictions.jsonl").read_text().splitlines()]
    assert {row["group"] for row in rows} == {row["recording"] for row in rows} == {"day1.wav", "day3.wav"}

    add_commands_of_tasks()
    wav = folder / "day5.wav"
    for kind in ("raven", "audacity", "csv"):
        out = tmp_path / f"table-{kind}.txt"
        done = CliRunner().invoke(app, ["annotate", str(run), str(wav), "--out", str(out), "--format", kind])
        assert done.exit_code == 0, done.output
        found = read_annotations(out, kind)  # type: ignore[arg-type]
        expected = [call for call in calls if call.path == str(wav)]
        assert [row.label for row in found] == [call.label for call in expected]
        for row, call in zip(found, expected, strict=True):
            assert row.start_s == pytest.approx(call.start_s, abs=0.3)
            assert row.end_s == pytest.approx(call.end_s, abs=0.3)
    done = CliRunner().invoke(app, ["annotate", str(run), str(folder), "--out", str(tmp_path / "all"), "--json"])
    assert [row["recording"] for row in json.loads(done.stdout)] == [f"day{number}" for number in range(6)]
    assert len(list((tmp_path / "all").iterdir())) == 6
    with pytest.raises(ConfigError, match="one table and there are 6 recordings"):
        CliRunner().invoke(app, ["annotate", str(run), str(folder), "--out", "x.txt"], catch_exceptions=False)
    for shortest in ("nan", "-1"):
        with pytest.raises(ConfigError, match=f"--shortest-s {shortest} must be a number of seconds from 0"):
            CliRunner().invoke(
                app,
                ["annotate", str(run), str(wav), "--out", "x.txt", "--shortest-s", shortest],
                catch_exceptions=False,
            )
    with pytest.raises(ConfigError, match="Did you mean raven"):
        CliRunner().invoke(
            app, ["annotate", str(run), str(wav), "--out", "x.txt", "--format", "rave"], catch_exceptions=False
        )

    # A long recording in bounded memory: never more windows at once than a batch has.
    sizes = []
    logits = BioacousticWindows.logits
    monkeypatch.setattr(
        BioacousticWindows, "logits", lambda task, batch: sizes.append(batch.wavs.numel()) or logits(task, batch)
    )
    long = np.concatenate([soundfile.read(wav)[0]] * 10)
    soundfile.write(tmp_path / "long.flac", long, 32000)
    (row,) = loaded.predict(cuts_from_files([tmp_path / "long.flac"], ["long"]))
    assert len(row["windows"]) == len(row["scores"]) == 239
    assert [event[2] for event in row["events"]] == ["lo", "hi"] * 10
    assert max(sizes) <= 32 * 8000
    assert "lo" in loaded.task.columns(row)["labels"]


def test_annotate_needs_a_run_that_hears_windows(tmp_path: Path) -> None:
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(4000), RATE)
    lines = ["path,label,split", *(f"{n}.wav,{n % 2},{('train', 'dev', 'test')[n // 2]}" for n in range(6))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    overrides = [
        "downstream=bioacoustics",
        "upstream=log_mel",
        f"data.dir={tmp_path}",
        "trainer.steps=1",
        "features=off",
    ]
    run = train(read_experiment(None, overrides), tmp_path / "run")
    add_commands_of_tasks()
    with pytest.raises(ConfigError, match="only one of bioacoustic_windows finds events"):
        CliRunner().invoke(app, ["annotate", str(run), "0.wav", "--out", "x.txt"], catch_exceptions=False)
