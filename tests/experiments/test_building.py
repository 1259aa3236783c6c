"""From a configuration to a run folder, and from a run folder to predictions, metrics and a report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import toys.core
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score
from toys.core import LABELS, TINY_TERA, write_corpus

from audiossl import load_run
from audiossl.core.config import read_yaml, save_yaml
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError, LabelError, ManifestError
from audiossl.core.files import read_jsonl
from audiossl.data.manifests import read_manifest
from audiossl.experiments.building import build_objective
from audiossl.experiments.config import default_out, read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.training import pretrain
from audiossl.report import build_report

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(experiment: Make, tmp_path: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that is trained once."""
    if not trained:
        trained["run"] = train(experiment("trainer.average_best=2"), tmp_path_factory.mktemp("trained") / "run")
    return Path(shutil.copytree(trained["run"], tmp_path / "run"))


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


def test_the_run_folder_says_how_it_was_made(run: Path) -> None:
    stored = read_yaml(run / "config.yaml")
    assert list(stored.task.labels) == list(LABELS)
    assert list(stored.task.label_counts) == [6, 6, 6]
    facts = json.loads((run / "run.json").read_text())
    assert facts["versions"]["torch"] == version("torch")
    assert facts["num_trainable"] < facts["num_parameters"]


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
    from audiossl import load_upstream

    trained, fresh = load_run(run).task.upstream.state_dict(), load_upstream(toy_upstream).state_dict()
    assert all(torch.equal(fresh[name], trained[name]) for name in fresh)


def test_checkpoints_by_name(run: Path) -> None:
    heads = {name: load_run(run, name).task.trainable_state() for name in ("best", "last", "averaged", "kept-20")}
    assert not torch.equal(heads["last"]["classifier.weight"], heads["kept-20"]["classifier.weight"])
    mean = (heads["last"]["classifier.weight"] + heads["kept-20"]["classifier.weight"]) / 2
    torch.testing.assert_close(heads["averaged"]["classifier.weight"], mean)
    with pytest.raises(CheckpointError, match="has no checkpoint 'bset'; it has: averaged, best, kept-20"):
        load_run(run, "bset")


def test_what_is_no_run_folder_says_so(tmp_path: Path, run: Path, corpus: Path) -> None:
    with pytest.raises(AudiosslError, match="is not a run folder"):
        load_run(tmp_path)
    (run / "run.json").unlink()
    with pytest.raises(AudiosslError, match=r"run\.json cannot be read"):
        load_run(run)


def test_a_pretraining_run_cannot_predict_but_is_an_upstream(tmp_path: Path, corpus: Path, experiment: Make) -> None:
    options = [f"upstream_options.{name}={value}" for name, value in TINY_TERA.items()]
    overrides = [f"data.dir={corpus}", "trainer.steps=2", "data.batch_size=6", *options]
    out = pretrain(read_experiment(None, overrides, pretrain=True), tmp_path / "encoder")
    with pytest.raises(AudiosslError, match="is a pre-training run"):
        load_run(out)
    run = train(experiment(f"upstream={out}", "trainer.steps=2"), tmp_path / "run")
    assert load_run(run).task.upstream.widths == (16, 16, 16)


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


def test_a_missing_manifest_is_named_and_leaves_no_run(experiment: Make, tmp_path: Path, run: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere/train\.jsonl\.gz"):
        train(experiment("data.dir=nowhere"), tmp_path / "none")
    assert not (tmp_path / "none" / "config.yaml").exists()
    with pytest.raises(ManifestError, match=r"extra\.jsonl\.gz"):
        load_run(run).evaluate("extra")


def test_overwriting_with_a_configuration_that_cannot_start_keeps_the_old_run(experiment: Make, run: Path) -> None:
    with pytest.raises(ManifestError):
        train(experiment("data.dir=nowhere"), run, overwrite=True)
    assert load_run(run).config.trainer.steps == 40


@pytest.mark.parametrize("interface", ["pca", "hierarchical_conv", "concat"])
def test_interfaces_survive_resuming_and_loading(experiment: Make, tmp_path: Path, interface: str) -> None:
    settings = [f"interface={interface}", "interface_options.width=4", "trainer.save_every=3"]
    straight = train(experiment(*settings, "trainer.steps=6"), tmp_path / "straight")
    stopped = train(experiment(*settings, "trainer.steps=3"), tmp_path / "stopped")
    train(experiment(*settings, "trainer.steps=6"), stopped, resume=True)
    first, second = (load_run(path, "last").task.trainable_state() for path in (straight, stopped))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_later_settings_win(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("setting: superb\ntrainer:\n  steps: 70\n  lr: 0.5\ntask:\n  pooling: max\n", encoding="utf-8")
    plain = read_experiment(None)
    made = read_experiment(recipe, ["trainer.lr=0.25", "task.dropout=0.5"])
    assert (plain.trainer.eval_every, plain.trainer.steps) == (200, 2000)
    assert made.trainer.eval_every == 5000  # the setting, over the default
    assert made.trainer.steps == 70  # the file, over the setting
    assert made.trainer.lr == 0.25  # the command line, over the file
    assert (made.task["projector_width"], made.task["pooling"], made.task["dropout"]) == (256, "max", 0.5)
    assert read_experiment(recipe, ["setting=''"]).trainer.eval_every == 200


def test_an_unknown_setting_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no setting 'suberb'; it has: .*superb"):
        read_experiment(None, ["setting=suberb"])


def test_an_upstream_without_an_objective_cannot_be_pretrained(tmp_path: Path, corpus: Path) -> None:
    config = read_experiment(None, ["upstream=log_mel", f"data.dir={corpus}"], pretrain=True)
    with pytest.raises(ConfigError, match="upstream 'log_mel' has no pre-training objective"):
        pretrain(config, tmp_path)


def test_an_objective_is_a_name_and_its_options(tmp_path: Path, corpus: Path) -> None:
    tiny = [f"upstream_options.{key}={value}" for key, value in TINY_TERA.items()]
    made = build_objective(read_experiment(None, [*tiny, "objective_options.time=0.3"], pretrain=True))
    assert (made.config.time, made.upstream.name) == (0.3, "tera")  # the one that the encoder's card names
    named = build_objective(read_experiment(None, [*tiny, "objective=tera"], pretrain=True))
    first, second = (dict(task.named_parameters()) for task in (made, named))
    assert all(torch.equal(first[name], second[name]) for name in first)  # the seed decides

    for overrides, message in {
        ("objective=terra",): "There is no objective named 'terra'. Did you mean tera",
        ("objective_options.tiem=1",): r"options of objective tera: there is no key 'tiem'. Did you mean time",
        ("upstream=log_mel", "objective=tera"): "Objective 'tera' needs an encoder with .* 'log_mel' has none of them",
    }.items():
        with pytest.raises(AudiosslError, match=message):
            build_objective(read_experiment(None, overrides, pretrain=True))


def test_settings_of_an_objective_as_earlier_versions_wrote_them(tmp_path: Path) -> None:
    recipe = tmp_path / "old.yaml"
    recipe.write_text("objective:\n  time: 0.4\n  frequency: 0.1\n")
    made = read_experiment(recipe, ["objective.time=0.2"], pretrain=True)
    assert (made.objective, made.objective_options) == ("", {"time": 0.2, "frequency": 0.1})
    made = read_experiment(recipe, ["objective=tera", "objective_options.time=0.3"], pretrain=True)
    assert (made.objective, made.objective_options) == ("tera", {"time": 0.3, "frequency": 0.1})
    save_yaml(made, tmp_path / "new.yaml")
    assert read_experiment(tmp_path / "new.yaml", pretrain=True) == made


def test_unknown_options_are_named(experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key 'poolign'\. Did you mean pooling"):
        train(experiment("task.poolign=max"), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"no key 'widht'\. Did you mean width"):
        train(experiment("upstream_options.widht=3"), tmp_path / "b")


def test_the_default_folder_tells_runs_apart() -> None:
    first = read_experiment(None, ["upstream=s3prl:a/b.ckpt", "seed=3"])
    assert default_out(Path("recipes/fsdd/kws.yaml"), first) == Path("runs/fsdd-kws/s3prl_a_b.ckpt-weighted_sum-seed3")
    second = read_experiment(None, ["seed=4"], pretrain=True)
    assert default_out(Path("recipes/pretrain/x.yaml"), second) == Path("runs/pretrain-x/seed4")
