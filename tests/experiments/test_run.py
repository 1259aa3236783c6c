"""Predictions and metrics of a trained run, and what a task may do beyond labels: other rows than items, commands."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
import torch
import toys.core
import typer
from lhotse.cut import Cut
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from toys.core import LABELS, write_corpus

from audiossl import DOWNSTREAMS, load_run, load_upstream
from audiossl.core.errors import CheckpointError, LabelError, ManifestError, OutputError, TrainingError
from audiossl.core.files import read_jsonl
from audiossl.core.types import Metric, Table
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.report import build_report
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
def run_of_pairs(experiment: Make, pairs: str, tmp_path: Path) -> Path:
    made: Path = train(experiment(f"downstream={pairs}", "trainer.steps=4", "trainer.eval_every=2"), tmp_path / "run")
    return made


def test_train_evaluate_predict_and_report(run: Path, corpus: Path, tmp_path: Path) -> None:
    loaded = load_run(run, device="cpu")
    metrics = loaded.evaluate("test")
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    facts = json.loads((run / "test" / "metrics.json").read_text())

    assert [row["id"] for row in rows] == sorted(cut.id for cut in read_manifest(corpus / "test.jsonl.gz"))
    targets, predicted = [row["target"] for row in rows], [row["predicted"] for row in rows]
    expected = {
        "accuracy": accuracy_score(targets, predicted),
        "uar": recall_score(targets, predicted, average="macro"),
        "f1": f1_score(targets, predicted, average="macro"),
    }
    for name, value in expected.items():
        assert facts["metrics"][name]["value"] == pytest.approx(value)
        assert metrics[name].value == pytest.approx(value)
        assert facts["metrics"][name]["low"] <= value <= facts["metrics"][name]["high"]
    assert expected["accuracy"] >= 0.75  # three sounds that differ this much can be told apart
    assert facts["labels"] == list(LABELS)
    assert facts["confusion"] == confusion_matrix(targets, predicted, labels=LABELS).tolist()
    assert facts["num_items"] == 12
    for row in rows:
        assert row["predicted"] == LABELS[max(range(3), key=row["scores"].__getitem__)]
        assert sum(row["scores"]) == pytest.approx(1, abs=1e-4)
        assert row["speaker"] in ("speaker_0", "speaker_1")

    weights = json.loads((run / "interface.json").read_text())["layer_weights"]["layers"]
    assert len(weights) == 3
    assert sum(weights) == pytest.approx(1)
    page = build_report([run], tmp_path / "report")
    assert f"{100 * expected['accuracy']:.1f}" in Path(page).read_text(encoding="utf-8")


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_a_run_predicts_the_same_in_batches_of_any_size(run: Path, corpus: Path, batch_size: int) -> None:
    cuts = read_manifest(corpus / "test.jsonl.gz")
    whole = {row["id"]: row for row in load_run(run).predict(cuts)}
    parts = {row["id"]: row for row in load_run(run, overrides=[f"data.batch_size={batch_size}"]).predict(cuts)}
    assert whole.keys() == parts.keys()
    for name, row in whole.items():
        assert parts[name]["predicted"] == row["predicted"]
        assert parts[name]["scores"] == pytest.approx(row["scores"], abs=2e-6)


def test_the_upstream_stays_as_it_is(run: Path, toy_upstream: str) -> None:
    trained, fresh = load_run(run).task.upstream.state_dict(), load_upstream(toy_upstream).state_dict()
    assert all(torch.equal(fresh[name], trained[name]) for name in fresh)


def test_a_run_whose_upstream_changed_is_refused(run: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not the one that .* was trained with"):
        load_run(run, overrides=["upstream_options.width=4"])


def test_an_unseen_label_is_named_before_anything_is_computed(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    old, toys.core.LABELS = toys.core.LABELS, ("high", "click")
    try:
        manifests = write_corpus(other, {"train": 2, "dev": 1, "test": 1})
    finally:
        toys.core.LABELS = old
    with pytest.raises(LabelError, match=r"1 label\(s\) of .*test.jsonl.gz were not seen in training: 'click'"):
        load_run(run, overrides=[f"data.dir={manifests}"]).evaluate("test")
    assert not (run / "test").exists()
    predicted = load_run(run).predict(read_manifest(manifests / "test.jsonl.gz"))  # but it can be predicted
    assert {row["target"] for row in predicted} == {"high", "click"}


def test_what_is_scored_is_what_the_task_assembles(run_of_pairs: Path, corpus: Path) -> None:
    assert SPLITS == ["dev", "dev"]  # one for each evaluation in training
    metrics = load_run(run_of_pairs, device="cpu").evaluate("test")
    assert SPLITS[-1] == "test"
    num_items = len(read_manifest(corpus / "test.jsonl.gz"))
    rows = read_jsonl(run_of_pairs / "test" / "predictions.jsonl")
    assert len(rows) == num_items * (num_items - 1) // 2
    assert not any("audio" in row for row in rows)  # no row is an item
    facts = json.loads((run_of_pairs / "test" / "metrics.json").read_text())
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


def test_long_recordings_are_predicted_one_by_one(run_of_pairs: Path, corpus: Path) -> None:
    cuts = read_manifest(corpus / "test.jsonl.gz")
    rows = {row["id"]: row for row in load_run(run_of_pairs, device="cpu").predict(cuts)}
    assert set(rows) == {cut.id for cut in cuts}
    long = {cut.id for cut in cuts if cut.duration > 0.3}
    assert 0 < len(long) < len(rows)
    assert {name for name, row in rows.items() if row["predicted"] == "long"} == long
    loaded = load_run(run_of_pairs, device="cpu")
    assert loaded.config.features == "auto"  # so that what is not long comes from the cache
    cached = {row["id"]: row for row in loaded._predict(cuts, loaded._from_cache)}
    assert {name: row["predicted"] for name, row in cached.items()} == {n: row["predicted"] for n, row in rows.items()}
    only_long = cuts.filter(lambda cut: cut.duration > 0.3)
    assert {row["id"] for row in load_run(run_of_pairs, device="cpu").predict(only_long)} == long


def test_predict_prints_the_columns_of_the_task(run_of_pairs: Path, corpus: Path, audiossl: Make) -> None:
    done = audiossl("predict", run_of_pairs, corpus.parent / "audio" / "test" / "high_0.wav")
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


@pytest.mark.parametrize("command", ["evaluate", "predict", "train --resume"])
def test_a_flipped_bit_in_the_weights_is_noticed(
    experiment: Make, tmp_path: Path, audiossl: Callable[..., Any], corpus: Path, command: str
) -> None:
    run = train(experiment("trainer.steps=2", "trainer.eval_every=1", "trainer.save_every=1"), tmp_path / "run")
    path = run / "checkpoints" / ("last.safetensors" if "resume" in command else "best.safetensors")
    whole = bytearray(path.read_bytes())
    whole[-2] ^= 1
    path.write_bytes(bytes(whole))
    more = {"predict": [corpus.parent / "audio" / "test"], "train --resume": ["trainer.steps=3"]}.get(command, [])
    outcome = audiossl(*command.split(), run, *more)
    assert outcome.code == 2
    assert f"error: {path} is damaged: its content has another checksum than when it was written" in outcome.err


def test_a_run_that_cannot_be_written_says_so_before_anything_is_predicted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_run(run)
    monkeypatch.setattr(UtteranceClassification, "predict", lambda *_: pytest.fail("predicted"))
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", _refuse)
        with pytest.raises(OutputError, match=r"run cannot take .* Copy the run to a folder of your own and evaluate"):
            loaded.evaluate("dev")
    assert not (run / "dev").exists()
    (run / "dev").symlink_to(tmp_path)
    try:
        with pytest.raises(TrainingError, match="dev is a link"):
            loaded.evaluate("dev")
    finally:
        (run / "dev").unlink()


def _refuse(**_: object) -> None:
    raise OSError(30, "Read-only file system")


def test_a_relative_folder_of_data_is_said_with_where_the_run_was_made(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RunFolder(run).facts.folder
    monkeypatch.chdir(tmp_path)
    message = f"There is no data/test.jsonl.gz in the working folder {tmp_path}; the run was made in {made}"
    with pytest.raises(ManifestError, match=re.escape(message)):
        load_run(run, overrides=["data.dir=data"]).evaluate("test")
