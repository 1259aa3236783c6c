"""A label for every frame: where labels come from, the loss, the metrics, learning, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.supervision import AlignmentItem
from sklearn.metrics import accuracy_score, f1_score, recall_score

from audiossl import load_run, load_upstream
from audiossl.core.config import structured
from audiossl.core.errors import LabelError
from audiossl.data.frame_labels import IGNORED, write_frame_labels
from audiossl.data.loader import collate
from audiossl.data.manifests import write_manifests
from audiossl.downstreams.frame_classification.labels import LabelSource
from audiossl.downstreams.frame_classification.task import FrameClassification, FrameClassificationConfig
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.training.interface import build_interface

RATE_HZ = 16000
TONES_HZ = {"low": 300.0, "mid": 1200.0, "high": 3000.0}


def tone_row(folder: Path, name: str, labels: list[str], each_s: float = 0.25, noise: float = 0.01) -> MonoCut:
    """A recording of tones one after the other, with a supervision for each and the same as a tier."""
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    size = round(each_s * RATE_HZ)
    time_s = np.arange(size) / RATE_HZ
    sound = np.concatenate([0.3 * np.sin(2 * np.pi * TONES_HZ[label] * time_s) for label in labels])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.wav"
    soundfile.write(path, sound + noise * rng.standard_normal(len(sound)), RATE_HZ)
    recording = Recording.from_file(path, recording_id=name)
    parts = [
        SupervisionSegment(f"{name}-{place}", name, place * each_s, each_s, speaker=name[:1], custom={"label": label})
        for place, label in enumerate(labels)
    ]
    tier = {"tones": [AlignmentItem(part.custom["label"], part.start, part.duration) for part in parts]}
    whole = SupervisionSegment(name, name, 0.0, recording.duration, speaker=name[:1], alignment=tier)
    return MonoCut(name, 0.0, recording.duration, 0, [whole, *parts], recording=recording)


def made(**options: Any) -> FrameClassification:
    upstream = load_upstream("log_mel")
    torch.manual_seed(0)
    config = structured(FrameClassificationConfig, {"labels": ["high", "low", "mid"], **options})
    return FrameClassification(upstream, build_interface("weighted_sum", upstream.widths, {}), config)


def ctm(path: Path, *rows: MonoCut) -> Path:
    lines = [
        f"{row.recording.id} 1 {part.start:g} {part.duration:g} {part.custom['label']}"
        for row in rows
        for part in row.supervisions[1:]
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_every_source_gives_the_same_labels(tmp_path: Path) -> None:
    cut = tone_row(tmp_path, "a", ["low", "mid", "mid", "high"])
    times_s = np.array([0.0, 0.1, 0.249, 0.25, 0.6, 0.99])
    expected = ["low", "low", "low", "mid", "mid", "high"]
    assert LabelSource("", "label").labels_at(cut, times_s) == expected
    assert LabelSource("tones", "label").labels_at(cut, times_s) == expected
    assert LabelSource(str(ctm(tmp_path / "a.ctm", cut)), "").labels_at(cut, times_s) == expected
    numbers = np.repeat([0, 1, 1, 2], 25)
    (named,) = write_frame_labels([(cut, numbers)], "frames", 100.0, tmp_path / "labels")
    assert LabelSource("frames", "").labels_at(named, times_s) == ["0", "0", "0", "1", "1", "2"]


def test_labels_move_with_crops_and_speeds(tmp_path: Path) -> None:
    cut = tone_row(tmp_path, "a", ["low", "mid", "high"])
    sources = [LabelSource("", "label"), LabelSource("tones", ""), LabelSource(str(ctm(tmp_path / "a.ctm", cut)), "")]
    for changed, times_s, expected in (
        (cut.truncate(offset=0.3, duration=0.4, preserve_id=True), [0.1, 0.3], ["mid", "high"]),
        (cut.perturb_speed(1.25, affix_id=False), [0.19, 0.21, 0.41], ["low", "mid", "high"]),
    ):
        for source in sources:
            assert source.labels_at(changed, np.array(times_s)) == expected, source.alignment


def test_loss_and_metrics_are_those_of_the_frames_that_count(tmp_path: Path) -> None:
    cuts = [tone_row(tmp_path, "a", ["low", "mid", "high", "mid"]), tone_row(tmp_path, "b", ["high", "low"])]
    task = made(ignored=["mid"], labels=["high", "low"])
    batch = collate(cuts, RATE_HZ)
    sequence, lengths = task.sequence(batch)
    targets = task._targets(batch.cuts, lengths, sequence.shape[1])
    assert set(targets.unique().tolist()) == {IGNORED, 0, 1}
    assert bool((targets[1, int(lengths[1]) :] == IGNORED).all())
    loss = task.loss(batch)
    logits = task.classify(sequence)[targets != IGNORED]
    expected = torch.nn.functional.cross_entropy(logits, targets[targets != IGNORED])
    assert loss.total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert float(loss.weight) == len(logits)
    rows = json.loads(json.dumps(task.predict(batch)))
    found = task.score(rows)
    truth, guess = targets[targets != IGNORED].tolist(), logits.argmax(-1).tolist()
    assert found["accuracy"].value == pytest.approx(accuracy_score(truth, guess))
    assert found["uar"].value == pytest.approx(recall_score(truth, guess, average="macro", zero_division=0))
    assert found["f1"].value == pytest.approx(f1_score(truth, guess, average="macro", zero_division=0))


def test_a_linear_layer_learns_tones_and_the_run_predicts_what_nobody_aligned(tmp_path: Path) -> None:
    orders = [["low", "mid", "high"], ["high", "low", "mid"], ["mid", "mid", "low"], ["high", "mid", "low"]]
    splits = {
        split: CutSet.from_cuts(tone_row(tmp_path / split, f"{split[:2]}{n}", order) for n, order in enumerate(orders))
        for split in ("train", "dev", "test")
    }
    write_manifests(splits, tmp_path / "manifests")
    settings = ("downstream=frame_classification", "upstream=log_mel", f"data.dir={tmp_path / 'manifests'}")
    trainer = ("trainer.steps=60", "trainer.lr=0.05", "trainer.eval_every=30", "data.batch_size=4")
    run = train(read_experiment(None, [*settings, *trainer]), tmp_path / "run")
    loaded = load_run(run, device="cpu")
    assert loaded.evaluate()["accuracy"].value > 0.95
    (row,) = loaded.predict(CutSet.from_cuts([splits["test"][0].drop_supervisions()]))
    assert row["target"] is None
    assert [label for count, label in row["predicted"] if count > 10] == ["low", "mid", "high"]


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    cut, other = tone_row(tmp_path, "a", ["low", "mid", "high"]), tone_row(tmp_path, "b", ["low", "mid"])
    file = str(ctm(tmp_path / "a.ctm", cut))
    task = made(alignment=file)
    task.check_cuts([cut], "train")
    with pytest.raises(LabelError, match=r"a\.ctm has no line of row b of dev; align it too"):
        task.check_cuts([other], "dev")
    part = cut.truncate(offset=0.25).with_id("b")
    with pytest.raises(LabelError, match="names row b of dev, which begins 0.25 s after its recording does"):
        made(alignment=str(ctm(tmp_path / "b.ctm", other))).check_cuts([part], "dev")
    renamed = replace(other, recording=replace(other.recording, id="a"))
    with pytest.raises(LabelError, match=r"go on until 0.75 s, and its sound ends at 0.5 s; align it again"):
        task.check_cuts([renamed], "dev")
    short = replace(cut, supervisions=cut.supervisions[:2])
    with pytest.raises(LabelError, match=r"cover 33 % of its 0.75 s, less than task.min_coverage=0.5"):
        made().check_cuts([short], "dev")
    with pytest.raises(LabelError, match="Row a of dev has the label 'mid', which no training row has"):
        made(labels=["low", "high"]).check_cuts([cut], "dev")
    with pytest.raises(LabelError, match="Row a of dev has nothing in the tier 'phones'"):
        made(alignment="phones").check_cuts([cut], "dev")
    with pytest.raises(LabelError, match=r"have 1 label\(s\) that count \(low\), and two are the least"):
        FrameClassification.complete(FrameClassificationConfig(ignored=["mid", "high"]), [cut])
    with pytest.raises(LabelError, match="None of the 1 predictions has a target"):
        task.score([{"target": None, "predicted": [[2, "low"]], "speaker": "a"}])
