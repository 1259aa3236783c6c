"""The task of events: labels, loss, contract with strong labels, decisions of dev, training, and bad rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet
from toys.events import detector, rows_of, write_field

from audiossl import check_downstream, load_run
from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.annotated import Windows
from audiossl.data.config import LoaderConfig
from audiossl.data.loader import collate
from audiossl.data.manifests import write_manifests
from audiossl.downstreams.bioacoustic_events.decisions import EventRule
from audiossl.downstreams.bioacoustic_events.task import BioacousticEvents
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train

# The check assembles dev between two predictions, which must be decided alike.
DECIDED = {"threshold": 0.5, "median_s": 0.05, "gap_s": 0.0, "shortest_s": 0.0}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    folder = tmp_path_factory.mktemp("field")
    calls = write_field(folder, 2)
    windows = list(rows_of(calls, folder, Windows(1.5, 1.25)))
    return CutSet.from_cuts([*rows_of(calls, folder).to_eager(), windows[1]])


def test_a_frame_has_the_classes_of_its_centre(rows: CutSet) -> None:
    task, cut = detector(), rows[0]
    labels = task.frame_labels([cut], torch.tensor([395]), 401)[0]
    centres = task.clock.first_s + torch.arange(401) * task.clock.step_s
    for start, end, label in cut.supervisions[0].custom["calls"]:
        inside = (centres >= start) & (centres < end) & (torch.arange(401) < 395)
        assert torch.equal(labels[:, task.index[label]] > 0, inside)


@pytest.mark.parametrize("options", [{}, {"normalize": True, "class_weights": True, "shares": [0.2, 0.1]}])
def test_the_contract_holds_with_strong_labels(rows: CutSet, options: dict[str, Any]) -> None:
    check_downstream(detector(**DECIDED, **options), collate(list(rows), 16000))


@pytest.mark.parametrize("pooling", ["attention", "linear_softmax", "max", "noisy_or"])
def test_the_contract_holds_with_weak_labels(rows: CutSet, pooling: str) -> None:
    task = detector(supervision="weak", pooling=pooling, shares=[0.5, 0.5], row_s=3.0, decide_by="events", **DECIDED)
    check_downstream(task, collate(list(rows), 16000))


def test_the_strong_loss_is_a_mean_over_frames_and_classes(rows: CutSet) -> None:
    task = detector()
    batch = collate(list(rows), 16000)
    logits, _, lengths = task.logits(batch)
    labels = task.frame_labels(batch.cuts, lengths, logits.shape[1])
    parts: Any = [
        torch.nn.functional.binary_cross_entropy_with_logits(logits[n, :count], labels[n, :count], reduction="sum")
        for n, count in enumerate(lengths.tolist())
    ]
    assert float(task.loss(batch).total.detach()) == pytest.approx(
        float(sum(parts).detach()) / (2 * float(lengths.sum())), rel=1e-5
    )


def made_row(name: str, values: np.ndarray, target: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "first_s": 0.05,
        "step_s": 0.1,
        "duration_s": 2.0,
        "recording": name,
        "group": name,
        "start_s": 0.0,
    }
    heard = sorted({label for *_, label in target})
    return {
        "id": name,
        "target": target,
        "heard": heard,
        "probabilities": values.T.tolist(),
        "scores": [0.4, 0.1],
    } | facts


def test_dev_chooses_and_the_choice_is_saved() -> None:
    task = detector()
    values = np.full((20, 2), 0.05)
    values[5:15, 0] = 0.35
    (row,) = task.assemble([made_row("a", values, [[0.05, 0.15, "hi"]])], "dev")
    assert row["predicted"] == [[0.045, 0.145, "hi", 0.35]]
    assert "probabilities" not in row
    assert (row["num_errors"], row["num_units"]) == (0, 1)
    assert task.rules == [EventRule(0.3), EventRule(0.5)]
    assert task.score([row])["overlap_f1"].value == 1.0
    facts = task.facts([row])
    assert (facts["labels_left_out"], facts["undecided"]) == (["lo"], ["lo"])
    assert "No event of lo: left out of the means" in task.tables([row])[0].note
    twin = detector()
    twin.load_trainable_state(task.trainable_state())
    assert twin.rules == task.rules
    assert detector(threshold=0.6, gap_s=0.2).rules[0] == EventRule(0.6, 0.0, 0.2, 0.0)
    weak = detector(supervision="weak")
    assert weak.monitor.name == "map"
    (row,) = weak.assemble([made_row("a", values, [[0.05, 0.15, "hi"]])], "dev")
    assert set(weak.score([row])) >= {"map", "overlap_f1"}


def test_what_cannot_be_used_is_one_sentence(rows: CutSet) -> None:
    task, cut = detector(), rows[0]
    with pytest.raises(LabelError, match="does not say when its calls are"):
        task.check_cuts([cut.drop_supervisions()], "test")
    with pytest.raises(LabelError, match="Row .* of test has a call of 'lo', of which training has none"):
        detector(labels=["hi"]).check_cuts([cut], "test")
    with pytest.raises(LabelError, match="No row of dev says when its calls are"):
        task.check_split([replace(cut, supervisions=[])], "dev")
    with pytest.raises(LabelError, match="has no field 'label'; one in which nothing is heard has an empty one"):
        detector(supervision="weak").check_cuts([replace(cut, supervisions=[])], "train")
    with pytest.raises(LabelError, match="None of the 1 predictions has a target with a call to score"):
        task.score([{"id": "a", "target": None, "heard": None}])
    config = detector(supervision="weak").config
    with pytest.raises(ConfigError, match="max_crop_s=2 cuts rows, and weak labels are of whole ones"):
        BioacousticEvents.complete_by_data(config, LoaderConfig(max_crop_s=2.0))


@pytest.mark.parametrize("supervision", ["strong", pytest.param("weak", marks=pytest.mark.slow)])
def test_tones_are_found(tmp_path: Path, supervision: str) -> None:
    sizes, seed = {"train": 12, "dev": 4, "test": 4}, 0
    splits = {}
    for split, count in sizes.items():
        calls = write_field(tmp_path / split, count, seed)
        windows = Windows(1.0, 0.5) if (split, supervision) == ("train", "weak") else None
        splits[split] = rows_of(calls, tmp_path / split, *([windows] if windows else []))
        seed += count
    write_manifests(splits, tmp_path / "manifests")
    settings = ["downstream=bioacoustic_events", "setting=default", "upstream=log_mel", "task.hidden=16"]
    settings += [f"task.supervision={supervision}", "task.decide_by=events", "data.batch_size=6"]
    settings += ["trainer.steps=40", "trainer.lr=0.02", "trainer.warmup_steps=5", "trainer.eval_every=40"]
    run = train(
        read_experiment(None, [*settings, f"data.dir={tmp_path / 'manifests'}", "features=off"]), tmp_path / "run"
    )
    loaded = load_run(run, device="cpu")
    metrics = loaded.evaluate()
    assert metrics["overlap_f1"].value > 0.6
    assert metrics["overlap_f1"].num_clusters == 4
    assert (run / "test" / "detections_1.png").is_file()
    (cut,) = [cut for cut in splits["test"] if cut.id.startswith("day16")]
    (short,) = loaded.predict(CutSet.from_cuts([cut]))
    long = loaded.task.predict_long(cut)
    assert [event[:3] for event in long["predicted"]] == [event[:3] for event in short["predicted"]]
    assert "hi" in loaded.task.columns(long)["events"]
