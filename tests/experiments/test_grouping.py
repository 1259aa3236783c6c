"""Groups of items in an evaluation: in metrics.json, without predicting again, and what is wrong with a column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet
from typer.testing import CliRunner

from audiossl import load_run
from audiossl.cli.main import app
from audiossl.core.errors import LabelError, TrainingError
from audiossl.core.files import read_jsonl, write_jsonl
from audiossl.core.types import Metric
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.grouping import grouped_by
from audiossl.experiments.run import Run
from audiossl.report import build_report
from audiossl.training.task import Monitor, Prediction


def with_columns(folder: Path) -> None:
    """Twelve speakers, of whom the first half says little, in the test manifest of a run."""
    cuts = list(read_manifest(folder / "test.jsonl.gz"))
    for number, cut in enumerate(cuts):
        said = cut.supervisions[0]
        said.speaker = f"s{number % 12:02d}"
        said.custom = {**(said.custom or {}), "sex": "fm"[number % 12 // 6], "few": "xy"[number % 12 // 9]}
    write_manifests({"test": CutSet.from_cuts(cuts)}, folder)


@pytest.fixture
def evaluated(run: Path, tmp_path: Path) -> tuple[Path, str]:
    """A run whose test rows have columns, evaluated, and where they are."""
    config = RunFolder(run).config()
    folder = tmp_path / "columns"
    splits = {split: CutSet.from_cuts(list(read_manifest(config.data.path(split)))) for split in ("train", "dev")}
    test = [cut.with_id(f"{cut.id}-{n}") for n in range(4) for cut in read_manifest(config.data.path("test"))]
    write_manifests({**splits, "test": CutSet.from_cuts(test)}, folder)
    with_columns(folder)
    data = f"data.dir={folder}"
    load_run(run, device="cpu", overrides=[data]).evaluate()
    return run, data


def facts_of(run: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run / "test" / "metrics.json").read_text())
    return facts


def test_groups_of_a_finished_run_without_predicting_again(
    evaluated: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = evaluated
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    monkeypatch.setattr(Run, "predictions_of", lambda *_: pytest.fail("predicted again"))
    done = CliRunner().invoke(app, ["evaluate", str(run), data, "report.by=[sex,few]", "--stored"])
    assert done.exit_code == 0, done.output
    facts = facts_of(run)
    found = facts["groups"]["sex"]
    for sex, group in found["groups"].items():
        right = [row["target"] == row["predicted"] for row in rows if (row["speaker"] < "s06") == (sex == "f")]
        assert group["num_items"] == len(right)
        assert group["metrics"]["accuracy"]["value"] == pytest.approx(sum(right) / len(right))
        assert group["num_clusters"] == 6
    monitor = found["metric"]
    values = [group["metrics"][monitor]["value"] for group in found["groups"].values()]
    assert found["gap"]["value"] == pytest.approx(max(values) - min(values))
    assert found["cluster"] == "speaker"
    few = facts["groups"]["few"]
    assert few["gap"] is None and "fewer than two groups have the 6 speakers" in few["remark"]
    assert few["groups"]["y"]["metrics"][monitor]["low"] is None
    assert "By sex" in done.output and "Gap from" in done.output and "nothing is claimed of it" in done.output
    page = build_report([run], run.parent / "report").read_text()
    assert "By sex" in page


def test_order_of_predictions_does_not_matter(evaluated: tuple[Path, str]) -> None:
    run, data = evaluated
    loaded = load_run(run, device="cpu", overrides=[data, "report.by=[sex]"])
    loaded.score_stored()
    before = facts_of(run)["groups"]
    path = run / "test" / "predictions.jsonl"
    write_jsonl(path, read_jsonl(path)[::-1])
    loaded.score_stored()
    assert facts_of(run)["groups"] == before


def test_speakers_as_groups_are_over_items(evaluated: tuple[Path, str]) -> None:
    run, data = evaluated
    load_run(run, device="cpu", overrides=[data, "report.by=[speaker]"]).score_stored()
    found = facts_of(run)["groups"]["speaker"]
    assert found["cluster"] == "item"
    assert len(found["groups"]) == 12
    [table] = [table for table in facts_of(run)["tables"] if table["title"] == "By speaker"]
    assert "say nothing of others" in table["note"] or found["gap"] is None


def test_what_is_wrong_with_a_column_is_one_sentence(evaluated: tuple[Path, str]) -> None:
    run, data = evaluated
    for column, message in (
        ("accent", "rows of .*test.* have nothing in the field 'accent'.*leave the column out of report.by"),
        ("split", "nothing in the field 'split'"),
    ):
        with pytest.raises(LabelError, match=message):
            load_run(run, device="cpu", overrides=[data, f"report.by=[{column}]"]).score_stored()
    with pytest.raises(TrainingError, match="nothing is stored to score"):
        load_run(run, device="cpu", overrides=[data]).score_stored("dev")


class Recordings:
    """Scores of a task whose groups are recordings."""

    monitor = Monitor("der", "min")

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """The mean, over recordings."""
        return {"der": Metric(sum(row["der"] for row in predictions) / len(predictions), cluster="recording")}


def test_clusters_are_called_what_the_task_calls_them(evaluated: tuple[Path, str]) -> None:
    run, data = evaluated
    config = read_experiment(run / "config.yaml", [data, "report.by=[sex]"])
    rows = [{"id": cut.id, "group": cut.id, "der": 0.5} for cut in config.data.rows("test")]
    facts = grouped_by(config, Recordings(), "test", rows).facts
    assert facts["groups"]["sex"]["cluster"] == "recording"
