"""The parts of an experiment from its configuration: objectives, checked rows, statistics, warnings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import LABELS, ToyTask, TrainedToy, toy_batches
from toys.tera import TERA_SIZES

from audiossl.core.errors import AudiosslError, ConfigError, LabelError, ManifestError
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.experiments import building
from audiossl.experiments.building import (
    batch_source,
    build_downstream,
    build_objective,
    check_rows,
    complete_config,
    fit_statistics,
    warn_of_leaks,
)
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train

Make = Callable[..., Any]


def test_the_training_rows_complete_the_options_of_the_task(experiment: Make, corpus: Path) -> None:
    config = experiment("task.pooling=max")
    made = complete_config(config, read_manifest(corpus / "train.jsonl.gz"))
    assert (made.task["labels"], made.task["label_counts"]) == (list(LABELS), [6, 6, 6])
    assert made.task["pooling"] == "max"
    assert "labels" not in config.task


def test_a_head_is_drawn_from_the_seed_whatever_was_drawn_before(experiment: Make, corpus: Path) -> None:
    rows = read_manifest(corpus / "train.jsonl.gz")

    def drawn(seed: int) -> torch.Tensor:
        torch.rand(seed + 1)
        before = torch.get_rng_state()
        task = build_downstream(complete_config(experiment(f"seed={seed}", "upstream=log_mel"), rows))
        assert torch.equal(torch.get_rng_state(), before)
        return task.get_parameter("classifier.weight")

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def test_a_part_of_training_that_lacks_a_class_is_named(experiment: Make, corpus: Path) -> None:
    config = experiment("data.subset=5%")
    whole = list(read_manifest(corpus / "train.jsonl.gz"))
    two = [next(cut for cut in whole if cut.supervisions[0].custom["label"] == label) for label in LABELS[:2]]
    told = r"Training is data.subset=5% alone, which may lack a class that the whole has: take more of it"
    task = build_downstream(complete_config(config, two))
    with pytest.raises(LabelError, match="were not seen in training.* " + told):
        check_rows(task, config.data, {"dev": config.data.rows("dev")})
    with pytest.raises(LabelError, match="needs at least two labels.* " + told):
        complete_config(config, two[:1])


def test_rows_that_the_task_cannot_use_are_named_with_where_they_are(experiment: Make, corpus: Path) -> None:
    config = complete_config(experiment(), read_manifest(corpus / "train.jsonl.gz"))
    task, rows = build_downstream(config), read_manifest(corpus / "dev.jsonl.gz")
    check_rows(task, config.data, {"dev": rows})
    wrong = [*rows]
    wrong[0].supervisions[0].custom["label"] = "click"
    with pytest.raises(LabelError, match=r"of .*dev\.jsonl\.gz were not seen in training: 'click'"):
        check_rows(task, config.data, {"dev": wrong})
    with pytest.raises(LabelError, match="of the dev part of fold 3 were not seen"):
        check_rows(task, config.data, {"dev": wrong}, "the {split} part of fold 3")


def test_what_splits_share_is_said_once_by_the_main_process(
    experiment: Make, corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = {split: read_manifest(corpus / f"{split}.jsonl.gz") for split in ("train", "dev")}
    write_manifests({**cuts, "test": cuts["dev"]}, tmp_path)
    data = experiment(f"data.dir={tmp_path}").data
    with caplog.at_level(logging.WARNING):
        monkeypatch.setenv("RANK", "1")
        warn_of_leaks(data, cuts)
        assert not caplog.messages
        monkeypatch.delenv("RANK")
        warn_of_leaks(data, cuts)
    (message,) = caplog.messages
    assert message.startswith("Warning: ")
    assert "dev" in message and "test" in message


def test_statistics_are_of_the_first_epoch_alone() -> None:
    seen: list[Batch] = []

    class Fitted(ToyTask):
        needs_fit = True  # type: ignore[assignment]

        def fit(self, batches: Iterator[Batch]) -> None:  # type: ignore[override]
            assert not self.training and not torch.is_grad_enabled()
            seen.extend(batches)

    fit_statistics(Fitted(), toy_batches(per_epoch=5))
    assert [batch.position and tuple(batch.position) for batch in seen] == [(0, number) for number in range(5)]
    fit_statistics(ToyTask(), lambda *_: pytest.fail("a task that needs none reads nothing"))


def test_an_upstream_without_an_objective_cannot_be_pretrained() -> None:
    config = read_experiment(None, ["upstream=log_mel"], pretrain=True)
    with pytest.raises(ConfigError, match="upstream 'log_mel' has no pre-training objective of its own; choose one by"):
        build_objective(config)


def test_an_objective_is_a_name_and_its_options() -> None:
    made = build_objective(read_experiment(None, [*TERA_SIZES, "objective_options.time=0.3"], pretrain=True))
    assert (made.config.time, made.upstream.name) == (0.3, "tera")  # the one that the encoder's card names
    named = build_objective(read_experiment(None, [*TERA_SIZES, "objective=tera"], pretrain=True))
    first, second = (dict(task.named_parameters()) for task in (made, named))
    assert all(torch.equal(first[name], second[name]) for name in first)  # the seed decides

    for overrides, message in {
        ("objective=terra",): "There is no objective named 'terra'. Did you mean tera",
        ("objective_options.tiem=1",): r"options of objective tera: there is no key 'tiem'. Did you mean time",
        ("upstream=log_mel", "objective=tera"): "Objective 'tera' needs an encoder with .* 'log_mel' has none of them",
    }.items():
        with pytest.raises(AudiosslError, match=message):
            build_objective(read_experiment(None, overrides, pretrain=True))


def test_unknown_options_are_named(experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key 'poolign'\. Did you mean pooling"):
        train(experiment("task.poolign=max"), tmp_path / "a")
    with pytest.raises(ConfigError, match=r"no key 'widht'\. Did you mean width"):
        train(experiment("upstream_options.widht=3"), tmp_path / "b")


def test_rows_beyond_the_encoder_stop_a_run_before_it_has_a_folder(
    experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainedToy, "max_samples", 4500)
    with pytest.raises(ManifestError, match=r"\d+ of 18 rows last longer than the 0\.28125 s .*features=auto"):
        train(experiment("features=off"), tmp_path / "run")
    # Nothing was trained, so nothing is in the way of a second try, in which the states are kept.
    train(experiment("trainer.steps=2", f"cache.dir={tmp_path / 'kept'}"), tmp_path / "run")
    assert (tmp_path / "run" / "config.yaml").is_file()


def test_rows_that_take_memory_are_told(
    experiment: Make, corpus: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(building, "LONGEST_WHOLE_S", 0.3)
    config = complete_config(experiment(), read_manifest(corpus / "train.jsonl.gz"))
    task, cuts = build_downstream(config), {"dev": read_manifest(corpus / "dev.jsonl.gz")}
    batch_source(task, config, cuts, "dev")
    assert "A row of dev lasts 0 minutes and is encoded at once; data.max_crop_s=30" in caplog.text
