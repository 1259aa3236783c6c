"""Emotion: its metrics, what chooses the checkpoint, its tables and its settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from toys.bands import Bands
from toys.words import tone_batch

from audiossl.core.config import make, structured
from audiossl.core.errors import ConfigError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.data.folds import FoldsConfig
from audiossl.downstreams.emotion.task import Emotion
from audiossl.experiments.config import read_experiment
from audiossl.training.interface import load_interface

EMOTIONS = ("ang", "hap", "neu", "sad")


def toy_task(**options: Any) -> Emotion:
    torch.manual_seed(0)
    upstream = Bands(3)
    options = {"labels": list(EMOTIONS), **options}
    task = make(Emotion, options, upstream, load_interface("weighted_sum", upstream.widths))
    assert isinstance(task, Emotion)
    return task


def rows_of(pairs: list[tuple[str | None, str]], speakers: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{number:03}",
            "target": target,
            "predicted": guess,
            "probability": 0.5,
            "speaker": f"s{number % speakers}",
        }
        for number, (target, guess) in enumerate(pairs)
    ]


UNBALANCED = (
    [("neu", "neu")] * 60 + [("ang", "ang")] * 5 + [("ang", "neu")] * 10 + [("sad", "neu")] * 5 + [("hap", "ang")] * 8
)


def test_ua_and_wa_are_those_of_scikit_learn() -> None:
    metrics = toy_task().score(rows_of(UNBALANCED))
    targets, guesses = zip(*UNBALANCED, strict=True)
    assert list(metrics) == ["ua", "wa", "f1"]
    assert metrics["wa"].value == pytest.approx(accuracy_score(targets, guesses))
    assert metrics["ua"].value == pytest.approx(recall_score(targets, guesses, average="macro"))
    assert metrics["f1"].value == pytest.approx(f1_score(targets, guesses, average="macro"))
    assert metrics["wa"].value > 0.7 > 0.4 > metrics["ua"].value  # most are neutral, and three emotions are missed
    for metric in metrics.values():
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high


def test_an_emotion_that_is_not_in_the_reference_does_not_count() -> None:
    metrics = toy_task().score(rows_of([("neu", "neu"), ("ang", "hap"), ("ang", "ang"), (None, "sad")]))
    assert metrics["ua"].value == pytest.approx(0.75)
    assert metrics["wa"].value == pytest.approx(2 / 3)


def test_intervals_draw_whole_speakers() -> None:
    pairs = [("neu", "neu" if number % 8 < 4 else "ang") for number in range(320)]
    rows = rows_of(pairs, speakers=8)
    by_speaker = toy_task().score(rows)["wa"]
    by_row = toy_task().score([{**row, "speaker": None} for row in rows])["wa"]
    assert by_speaker.high - by_speaker.low > 2 * (by_row.high - by_row.low)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["ua", "wa", "f1"])
def test_what_chooses_the_checkpoint_is_a_setting(name: str) -> None:
    assert toy_task(monitor=name).monitor == (name, "max")
    assert toy_task().monitor.name == "ua"
    with pytest.raises(ConfigError, match="monitor"):
        toy_task(monitor="accuracy")


def test_tables_say_what_is_taken_for_what_and_how_each_speaker_fares() -> None:
    emotions, speakers = toy_task().tables(rows_of(UNBALANCED))
    targets, guesses = zip(*UNBALANCED, strict=True)
    assert [row[0] for row in emotions.rows] == list(EMOTIONS)
    for label, size, recall, precision, mistaken in emotions.rows:
        assert size == targets.count(label)
        options = {"labels": [label], "average": None, "zero_division": 0}
        assert float(recall) == pytest.approx(100 * recall_score(targets, guesses, **options)[0], abs=0.06)
        named = label in guesses
        assert (precision is None) == (not named)
        if named:
            assert float(precision) == pytest.approx(100 * precision_score(targets, guesses, **options)[0], abs=0.06)
        assert mistaken == {"ang": "neu", "sad": "neu", "hap": "ang", "neu": ""}[label]
    assert sum(row[1] for row in speakers.rows) == len(UNBALANCED)
    assert [float(row[2]) for row in speakers.rows] == sorted(float(row[2]) for row in speakers.rows)
    json.dumps([emotions, speakers])
    assert [table.title for table in toy_task().tables(rows_of([("neu", "neu")], speakers=1))] == [
        "Emotions",
        "Speakers",
    ]
    assert toy_task().tables([{"id": "a", "target": None, "predicted": "neu", "speaker": "s"}]) == []


def test_facts_are_the_confusion_of_all_rows() -> None:
    facts = toy_task().facts(rows_of([("neu", "neu"), ("ang", "sad"), ("hap", "neu"), (None, "hap")]))
    assert facts["labels"] == list(EMOTIONS)
    assert facts["confusion"] == [[0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "statistics"])
def test_it_learns_with_every_pooling_and_balanced_classes(pooling: str) -> None:
    task = toy_task(labels=["no", "up", "yes"], label_counts=[8, 8, 8], pooling=pooling, class_weights=True)
    batch = tone_batch(24)
    optimizer = torch.optim.Adam([each for each in task.parameters() if each.requires_grad], lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    assert task.eval().score(task.predict(tone_batch(24, seed=1)))["ua"].value > 0.9


def test_the_sound_setting_keeps_dev_speakers_apart_and_averages_the_best() -> None:
    config = read_experiment(None, ["downstream=emotion", "setting=default", "folds=leave_one_out:speaker"])
    assert config.folds == FoldsConfig("leave_one_out:speaker")
    assert (config.checkpoint, config.trainer.average_best) == ("averaged", 5)
    assert config.trainer.steps // config.trainer.eval_every >= 5
    assert structured(Emotion.Config, config.task) == Emotion.Config()


def test_the_published_setting_is_the_published_one() -> None:
    config = read_experiment(None, ["downstream=emotion", "setting=superb", "folds=leave_one_out:session"])
    trainer = config.trainer
    assert (config.data.batch_size, trainer.batches_per_step, trainer.steps, trainer.eval_every) == (4, 8, 30000, 1000)
    assert (trainer.optimizer, trainer.lr, trainer.clip, config.interface) == ("adam", 1e-4, 1.0, "weighted_sum")
    assert config.task["monitor"] == "wa"
    assert config.folds == FoldsConfig("leave_one_out:session", 0.2, stratify="", dev_shares_groups=True)


def test_it_is_registered() -> None:
    assert DOWNSTREAMS.load("emotion") is Emotion
