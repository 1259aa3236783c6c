"""The configuration of an experiment: what goes over what, short forms, and forms of earlier versions."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.config import save_yaml
from audiossl.core.errors import ConfigError
from audiossl.data.folds import FoldsConfig
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.experiments.config import (
    DataConfig,
    Experiment,
    PretrainExperiment,
    default_out,
    parse_settings,
    read_experiment,
    read_setting,
    read_settings,
    setting_names,
    with_named_objective,
)

Make = Callable[..., Any]


def test_the_mode_may_be_written_alone(tmp_path: Path, experiment: Make) -> None:
    assert experiment("finetune.top_k=2", "finetune=top_k").finetune == FinetuneConfig(mode="top_k", top_k=2)
    assert experiment("finetune={mode: lora, lora_rank: 2}").finetune == FinetuneConfig(mode="lora", lora_rank=2)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("finetune: lora\n", encoding="utf-8")
    assert read_experiment(recipe).finetune == FinetuneConfig(mode="lora")
    assert read_experiment(recipe, ["finetune.lr=1e-5"]).finetune == FinetuneConfig(mode="lora", lr=1e-5)
    assert read_experiment(recipe, ["finetune=none"]).finetune == FinetuneConfig()
    save_yaml(read_experiment(recipe), tmp_path / "stored.yaml")
    assert read_experiment(tmp_path / "stored.yaml") == read_experiment(recipe)
    assert default_out(Path("recipes/a/b.yaml"), read_experiment(recipe)).name == "tera_mini-weighted_sum-lora-seed0"
    with pytest.raises(ConfigError, match=r"finetune\.mode"):
        experiment("finetune=lroa")
    with pytest.raises(ConfigError, match=r"no key 'finetune.lora_rnak'\. Did you mean finetune.lora_rank"):
        experiment("finetune.lora_rnak=2")


def test_a_wrong_setting_on_the_command_line_is_one_sentence(experiment: Make) -> None:
    with pytest.raises(ConfigError, match=r"finetune\.top_k=0"):
        experiment("finetune=top_k")


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


def test_settings_of_an_objective_as_earlier_versions_wrote_them(tmp_path: Path) -> None:
    recipe = tmp_path / "old.yaml"
    recipe.write_text("objective:\n  time: 0.4\n  frequency: 0.1\n")
    made = read_experiment(recipe, ["objective.time=0.2"], pretrain=True)
    assert (made.objective, made.objective_options) == ("", {"time": 0.2, "frequency": 0.1})
    made = read_experiment(recipe, ["objective=tera", "objective_options.time=0.3"], pretrain=True)
    assert (made.objective, made.objective_options) == ("tera", {"time": 0.3, "frequency": 0.1})
    save_yaml(made, tmp_path / "new.yaml")
    assert read_experiment(tmp_path / "new.yaml", pretrain=True) == made


def test_the_default_folder_tells_runs_apart() -> None:
    first = read_experiment(None, ["upstream=s3prl:a/b.ckpt", "seed=3"])
    assert default_out(Path("recipes/fsdd/kws.yaml"), first) == Path("runs/fsdd-kws/s3prl_a_b.ckpt-weighted_sum-seed3")
    second = read_experiment(None, ["seed=4"], pretrain=True)
    assert default_out(Path("recipes/pretrain/x.yaml"), second) == Path("runs/pretrain-x/seed4")


def test_the_short_form_is_read_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("folds: column:fold\n")
    assert read_experiment(tmp_path / "a.yaml", ["folds.dev=0.3"]).folds == FoldsConfig("column:fold", dev=0.3)
    assert read_experiment(tmp_path / "a.yaml", ["folds=k:5"]).folds == FoldsConfig("k:5")
    assert read_experiment(tmp_path / "a.yaml", ["folds=''"]).folds == FoldsConfig()


@pytest.mark.parametrize("pretrain", [False, True])
def test_nothing_given_is_the_defaults(pretrain: bool) -> None:
    assert read_experiment(None, pretrain=pretrain) == (PretrainExperiment() if pretrain else Experiment())


@pytest.mark.parametrize("pretrain", [False, True])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.stpes=1", r"there is no key 'trainer\.stpes'\. Did you mean trainer\.steps"),
        ("upstraem=tera", r"there is no key 'upstraem'\. Did you mean upstream"),
        ("trainer.steps=many", r"'trainer\.steps'"),
        ("upstream", r"'upstream' is not an override; write key=value"),
    ],
)
def test_what_is_no_setting_is_one_sentence(tmp_path: Path, pretrain: bool, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as found:
        read_experiment(None, [override], pretrain=pretrain)
    assert "\n" not in str(found.value)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("trainer:\n  stpes: 1\n")
    with pytest.raises(ConfigError, match=rf"In the configuration {recipe}: there is no key 'trainer\.stpes'"):
        read_experiment(recipe, pretrain=pretrain)


def test_what_only_a_head_has_is_no_setting_of_a_pretraining() -> None:
    for override in ("interface=last", "finetune=lora", "folds=k:5", "sweep.lr=[0.1]"):
        with pytest.raises(ConfigError, match="there is no key"):
            read_experiment(None, [override], pretrain=True)


def test_a_split_is_a_manifest_of_the_folder_or_a_path_of_its_own() -> None:
    data = DataConfig(dir="manifests", dev="held-out.jsonl.gz", test="/elsewhere/test.jsonl.gz")
    assert data.path("train") == Path("manifests/train.jsonl.gz")
    assert data.path("dev") == Path("manifests/held-out.jsonl.gz")
    assert data.path("test") == Path("/elsewhere/test.jsonl.gz")
    assert data.path("noisy") == Path("manifests/noisy.jsonl.gz")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"objective": "tera", "seed": 1}, {"objective": "tera", "seed": 1}),
        ({"seed": 1}, {"seed": 1}),
        ({"objective": {"time": 0.1}, "seed": 1}, {"objective_options": {"time": 0.1}, "seed": 1}),
        (
            {"objective": {"time": 0.1, "frequency": 0.2}, "objective_options": {"time": 0.3}},
            {"objective_options": {"time": 0.3, "frequency": 0.2}},
        ),
        ({"objective": {}}, {"objective_options": {}}),
    ],
)
def test_a_mapping_under_objective_becomes_its_options(layer: dict[str, Any], expected: dict[str, Any]) -> None:
    given = deepcopy(layer)
    assert with_named_objective(layer) == expected
    assert given == layer  # which stays as it is


def test_settings_of_a_run_are_written_out(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("finetune: lora\nfolds: k:5\nfeatures: off\nseed: 3\n")
    written = {"finetune": {"mode": "lora"}, "folds": {"by": "k:5"}, "features": "off", "seed": 3}
    assert read_settings(tmp_path / "a.yaml") == written
    assert parse_settings(["finetune=lora", "finetune.lora_rank=2"]) == {"finetune": {"mode": "lora", "lora_rank": 2}}


def test_settings_lie_in_the_folder_of_their_downstream() -> None:
    names = setting_names("utterance_classification")
    assert "superb" in names
    assert names == sorted(names)
    assert read_setting("utterance_classification", "superb")["trainer"]["eval_every"] == 5000
    with pytest.raises(ConfigError, match="utterance_classification has no setting '../asr/superb'; it has: "):
        read_setting("utterance_classification", "../asr/superb")


def test_the_default_folder_of_a_sweep_names_what_is_swept_over() -> None:
    config = read_experiment(None, ["sweep.lr=[0.1,0.2]", "sweep.seed=[1,2]", "finetune=all"])
    assert default_out(None, config) == Path("runs/experiment/tera_mini-weighted_sum-all-sweep-lr-seed")
    assert default_out(None, read_experiment(None)) == Path("runs/experiment/tera_mini-weighted_sum-seed0")
