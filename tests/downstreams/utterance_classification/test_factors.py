"""Factors as the pooling of a head: read before training, kept with the head, and trained on where that is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys.bands import Bands
from toys.words import WORDS, tone_batch

from audiossl import load_run, train
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.downstreams.utterance_classification.factors import FactorsHead, with_shape
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.config import Experiment
from audiossl.features.factors.config import FactorsOptions
from audiossl.features.factors.fitting import fit_factor_analysis
from audiossl.nn.factors import FactorAnalysis
from audiossl.training.interface import load_interface


@pytest.fixture
def folder(corpus: Path, toy_upstream: str, tmp_path: Path) -> Path:
    options = FactorsOptions(clusters=4, rank=3, iterations=2, layer="1")
    fit_factor_analysis(toy_upstream, [corpus / "dev.jsonl.gz"], options).save(tmp_path / "factors")
    return tmp_path / "factors"


def task_of(head: FactorsHead, upstream: str = "toy_frames", index: int = 1) -> UtteranceClassification:
    encoder = load_upstream(upstream)
    config = UtteranceClassification.Config(labels=list(WORDS), pooling="factors", factors=with_shape(head))
    task = UtteranceClassification(encoder, load_interface("layer", encoder.widths, index=index), config)
    task.standardize()
    return task


def test_factors_are_read_once_and_stay(folder: Path) -> None:
    task, batch = task_of(FactorsHead(str(folder))), tone_batch(4)
    assert task.needs_fit and not task.commutes_with_mean and not task.stackable
    task.fit([batch])
    assert not task.needs_fit and isinstance(task.pooling, FactorAnalysis)
    assert {name for name, p in task.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}
    assert task.loss(batch).logs.keys() == {"accuracy"}
    shutil.rmtree(folder)
    other = task_of(task.config.factors)
    other.load_trainable_state(task.trainable_state())
    assert not other.needs_fit
    torch.testing.assert_close(other.eval().logits(batch), task.eval().logits(batch))


def test_the_evidence_trains_factors_and_encoder(folder: Path) -> None:
    task, batch = task_of(FactorsHead(str(folder), loss_weight=0.1)), tone_batch(4)
    task.finetune(FinetuneConfig(mode="all"))
    task.fit([batch])
    loss = task.loss(batch)
    loss.total.backward()
    assert isinstance(task.pooling, FactorAnalysis) and loss.logs.keys() == {"accuracy", "evidence"}
    assert all(p.grad is not None and bool(p.grad.any()) for p in task.pooling.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in task.upstream.parameters())


def test_a_run_has_all_that_it_needs(folder: Path, experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    asked = ("task.pooling=factors", f"task.factors={folder}", "interface=layer", "interface_options.index=1")
    run = train(experiment(*asked, "trainer.steps=2", "trainer.eval_every=2"), tmp_path / "run")
    shutil.rmtree(folder)
    loaded = load_run(run)
    assert loaded.config.task["factors"]["shape"] == [1, 4, 8, 3]
    assert len(loaded.evaluate("test")) >= 3


def test_what_cannot_be_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    head = FactorsHead(str(folder))
    with pytest.raises(ConfigError, match="needs fitted ones; name their folder by task.factors=FOLDER"):
        with_shape(FactorsHead())
    with pytest.raises(CheckpointError, match="so no factors; fit some"):
        with_shape(FactorsHead(str(tmp_path)))
    with pytest.raises(ConfigError, match="reads layer 1 .* set interface=layer interface_options.index=1"):
        task_of(head, index=2)
    with pytest.raises(ConfigError, match="finetune.mode=lora adds weights"):
        task_of(head).finetune(FinetuneConfig(mode="lora"))
    with pytest.raises(ConfigError, match="finetune.adapter_width=2 adds weights"):
        task_of(head).finetune(FinetuneConfig(mode="all", adapter_width=2))
    task = task_of(head)
    task.upstream = Bands(3)
    with pytest.raises(CheckpointError, match="The factors of .* are of layer 1 of toy_frames, and Bands is another"):
        task.fit([tone_batch(2)])
