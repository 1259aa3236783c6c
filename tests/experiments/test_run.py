"""What a task may do beyond labels: store other rows than items, take long recordings apart, add commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
import typer
from lhotse.cut import Cut
from toys.core import LABELS

from audiossl import DOWNSTREAMS, load_run
from audiossl.core.errors import CheckpointError
from audiossl.core.files import read_jsonl
from audiossl.core.types import Metric, Table
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.start import train
from audiossl.training.task import Monitor, Prediction

Make = Callable[..., Any]
SPLITS: list[str] = []


class Pairs(UtteranceClassification):
    """Whether two items have the same label: what is stored are pairs, not items; recordings over 0.3 s are long."""

    monitor = Monitor("agreement", "max")

    @property
    def longest_s(self) -> float | None:
        return 0.3

    def predict_long(self, cut: Cut) -> Prediction:
        row = {"predicted": "long", "probability": 1.0, "target": "long", "scores": [], "speaker": None}
        return {"id": cut.id, **row, "duration_s": cut.duration}

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        SPLITS.append(split)
        return [
            {"id": f"{a['id']} {b['id']}", "same": a["target"] == b["target"], "said": a["predicted"] == b["predicted"]}
            for a, b in combinations(predictions, 2)
        ]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        return {"agreement": Metric(sum(row["same"] == row["said"] for row in predictions) / len(predictions))}

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        return {"num_pairs": len(predictions)}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        return [Table("Pairs", ["id", "same"], [[row["id"], row["same"]] for row in predictions[:2]])]

    def columns(self, prediction: Prediction) -> dict[str, str]:
        return {"heard": prediction["predicted"].upper()}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        return {}


@pytest.fixture
def pairs() -> Iterator[str]:
    DOWNSTREAMS.register("pairs")(Pairs)
    SPLITS.clear()
    yield "pairs"
    del DOWNSTREAMS._decorated["pairs"]


@pytest.fixture
def run(experiment: Make, pairs: str, tmp_path: Path) -> Path:
    made: Path = train(experiment(f"downstream={pairs}", "trainer.steps=4", "trainer.eval_every=2"), tmp_path / "run")
    return made


def test_what_is_scored_is_what_the_task_assembles(run: Path, corpus: Path) -> None:
    assert SPLITS == ["dev", "dev"]  # one for each evaluation in training
    metrics = load_run(run, device="cpu").evaluate("test")
    assert SPLITS[-1] == "test"
    num_items = len(read_manifest(corpus / "test.jsonl.gz"))
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    assert len(rows) == num_items * (num_items - 1) // 2
    assert not any("audio" in row for row in rows)  # no row is an item
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["num_pairs"] == len(rows)
    assert facts["metrics"]["agreement"]["value"] == metrics["agreement"].value
    assert facts["tables"] == [
        {"title": "Pairs", "header": ["id", "same"], "rows": facts["tables"][0]["rows"], "note": ""}
    ]
    assert "confusion" not in facts


def test_rows_say_where_their_sound_is(experiment: Make, tmp_path: Path, corpus: Path) -> None:
    run = load_run(train(experiment("trainer.steps=2", "trainer.eval_every=2"), tmp_path / "run"), device="cpu")
    run.evaluate("test")
    cuts = {cut.id: cut for cut in read_manifest(corpus / "test.jsonl.gz")}
    for row in read_jsonl(run.folder / "test" / "predictions.jsonl"):
        cut = cuts[row["id"]]
        assert row["audio"]["path"] == cut.recording.sources[0].source
        assert (row["audio"]["start_s"], row["audio"]["duration_s"]) == (0.0, pytest.approx(cut.duration))


def test_long_recordings_are_predicted_one_by_one(run: Path, corpus: Path) -> None:
    cuts = read_manifest(corpus / "test.jsonl.gz")
    rows = {row["id"]: row for row in load_run(run, device="cpu").predict(cuts)}
    assert set(rows) == {cut.id for cut in cuts}
    long = {cut.id for cut in cuts if cut.duration > 0.3}
    assert 0 < len(long) < len(rows)
    assert {name for name, row in rows.items() if row["predicted"] == "long"} == long
    loaded = load_run(run, device="cpu")
    assert loaded.config.features == "auto"  # so that what is not long comes from the cache
    cached = {row["id"]: row for row in loaded._predict(cuts, loaded._from_cache)}
    assert {name: row["predicted"] for name, row in cached.items()} == {n: row["predicted"] for n, row in rows.items()}
    only_long = cuts.filter(lambda cut: cut.duration > 0.3)
    assert {row["id"] for row in load_run(run, device="cpu").predict(only_long)} == long


def test_predict_prints_the_columns_of_the_task(run: Path, corpus: Path, audiossl: Make) -> None:
    done = audiossl("predict", run, corpus.parent / "audio" / "test" / "high_0.wav")
    assert done.code == 0
    assert "heard" in done.out
    assert any(name.upper() in done.out for name in (*LABELS, "long"))


def test_the_configuration_chooses_the_checkpoint(experiment: Make, tmp_path: Path) -> None:
    settings = ("checkpoint=averaged", "trainer.average_best=2", "trainer.steps=6", "trainer.eval_every=2")
    folder = train(experiment(*settings), tmp_path / "run")
    states = {name: load_run(folder, name, device="cpu").task.trainable_state() for name in ("", "averaged", "best")}
    assert all(value.equal(states["averaged"][name]) for name, value in states[""].items())
    assert not all(value.equal(states["best"][name]) for name, value in states[""].items())
    plain = train(experiment("checkpoint=averaged", "trainer.steps=2"), tmp_path / "plain")
    with pytest.raises(CheckpointError, match="has no checkpoint 'averaged'; it has: best, last"):
        load_run(plain, device="cpu")


def test_a_task_may_add_a_command(audiossl: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("commands_of_a_task")

    def greet(name: Annotated[str, typer.Argument(help="Whom.")]) -> None:
        """Say hello."""
        print(f"hello {name}")

    module.greet = greet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "commands_of_a_task", module)
    from audiossl.cli.main import app

    before = list(app.registered_commands)
    DOWNSTREAMS.register("greeter", commands={"greet": "commands_of_a_task:greet"})(Pairs)
    try:
        assert audiossl("greet", "ann").out == "hello ann\n"
        assert audiossl("greet", "bob").out == "hello bob\n"  # a second time in the same process
    finally:
        del DOWNSTREAMS._decorated["greeter"]
        app.registered_commands[:] = before
