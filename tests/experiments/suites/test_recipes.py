"""What a suite takes from recipes: experiments and manifests."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.suites import SUITE, TASK, TERA, WORDS, ToySuite

from audiossl.core.errors import AudiosslError, ConfigError, ManifestError
from audiossl.experiments.suites import recipes
from audiossl.experiments.suites.definition import SearchConfig, SuiteTask
from audiossl.experiments.suites.encoders import known_encoder, parse_encoder
from audiossl.experiments.suites.recipes import (
    is_prepared,
    prepare,
    task_experiment,
    why_no_recordings,
    with_encoder,
)


def test_settings_lie_over_those_of_the_recipe(toy: ToySuite) -> None:
    task = SuiteTask(metric="accuracy", settings={"trainer": {"steps": 5}, "data": {"train": "draw{seed}.jsonl.gz"}})
    config = task_experiment("toy/words", task, 3, Path("out"), {"trainer": {"lr": 0.5}})
    assert (config.trainer.steps, config.trainer.lr, config.trainer.eval_every) == (5, 0.5, 3)
    assert (config.seed, config.data.train) == (3, "draw3.jsonl.gz")
    assert config.data.dir == str(Path("out").absolute() / "data" / "toy")
    assert task_experiment("toy/words", task, 3, Path("out"), {"trainer": {"steps": 9}}).trainer.steps == 9


def test_a_setting_that_a_task_does_not_take_is_one_sentence(toy: ToySuite) -> None:
    with pytest.raises(ConfigError, match=r"toy/words.*stepz"):
        task_experiment("toy/words", SuiteTask(metric="x"), 0, Path("out"), {"trainer": {"stepz": 1}})


def test_what_is_tried_depends_on_the_encoder(toy: ToySuite) -> None:
    search = SearchConfig(lr=[0.1, 0.01], interface=["every_layer", "weighted_sum"])
    task = SuiteTask(metric="accuracy", search=search)
    config = task_experiment("toy/words", task, 0, Path("out"), {})
    three, one = (known_encoder(parse_encoder(text)) for text in (TERA, "log_mel"))
    found = with_encoder(config, task, three)
    layers = [{"name": "layer", "index": index} for index in range(3)]
    assert found.sweep.interface == [*layers, "weighted_sum"]
    assert found.sweep.lr == [0.1, 0.01]
    assert (found.upstream, found.upstream_options["width"]) == ("tera", 8)
    assert with_encoder(config, task, one).sweep.interface == [layers[0], "weighted_sum"]
    assert with_encoder(config, SuiteTask(metric="accuracy"), one).sweep.axes == {}


def test_a_budget_is_for_searches_that_are_dearer(toy: ToySuite) -> None:
    task = SuiteTask(metric="accuracy", search=SearchConfig(lr=[0.1, 0.01, 0.001]))
    config = task_experiment("toy/words", task, 0, Path("out"), {})
    encoder = known_encoder(parse_encoder("log_mel"))
    assert with_encoder(config, task, encoder, 2.0).sweep.budget == 2.0
    assert with_encoder(config, task, encoder, 3.0).sweep.budget == 0.0
    assert with_encoder(config, SuiteTask(metric="accuracy"), encoder, 2.0).sweep.budget == 0.0


def test_manifests_are_made_by_the_script_of_the_recipe(toy: ToySuite) -> None:
    suite = toy.suite()
    out = toy.results().path
    config = task_experiment("toy/words", suite.tasks["toy/words"], 0, out, {})
    assert not is_prepared(config)
    prepare("toy", suite.tasks, toy.data, out)
    assert is_prepared(config)
    folded = task_experiment("toy/folds", suite.tasks["toy/folds"], 0, out, {})
    assert is_prepared(folded)
    (out / "data" / "toy" / "all.jsonl.gz").unlink()
    assert not is_prepared(folded)
    assert is_prepared(config)


def test_recordings_that_are_missing_are_named_with_the_way_to_get_them(toy: ToySuite) -> None:
    task = SuiteTask(corpus="toy", get="make it", metric="accuracy")
    assert why_no_recordings(task, toy.data) == ""
    assert why_no_recordings(task, toy.path) == f"there is no folder toy in {toy.path}; get it: make it"
    assert "--data or AUDIOSSL_DATA" in why_no_recordings(task, None)
    with pytest.raises(ManifestError, match=r"^toy/words cannot be prepared: there is no folder toy"):
        prepare("toy", {"toy/words": task}, toy.path, toy.results().path)


def test_a_script_that_fails_is_one_sentence(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy.data / "toy" / "broken").touch()
    with pytest.raises(AudiosslError, match=r"^The recordings of toy cannot be prepared: the list of files is dam"):
        prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    monkeypatch.setattr(recipes.shutil, "which", lambda name: None)
    with pytest.raises(AudiosslError, match=r"^There is no bash .* run recipes/toy/prepare\.py by hand"):
        prepare("toy", toy.suite().tasks, toy.data, toy.results().path)


def test_tasks_of_one_recipe_may_have_yamls_of_their_own(toy: ToySuite) -> None:
    toy.write_recipe("loud", {**WORDS, "trainer": {"steps": 2}})
    toy.write({**SUITE, "tasks": {"toy/loud": TASK}})
    (cell,) = toy.plan(toy.asked(only=())).cells
    assert cell.config.trainer.steps == 2
