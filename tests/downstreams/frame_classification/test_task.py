"""A label for every frame: the loss, the metrics, learning, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet
from sklearn.metrics import accuracy_score, f1_score, recall_score
from toys.tones import RATE_HZ, ctm, tone_row

from audiossl import load_run, load_upstream
from audiossl.core.config import structured
from audiossl.core.errors import LabelError
from audiossl.data.frame_labels import IGNORED
from audiossl.data.loader import collate
from audiossl.data.manifests import write_manifests
from audiossl.downstreams.frame_classification.task import FrameClassification, FrameClassificationConfig, _counted
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.training.interface import build_interface


def made(**options: Any) -> FrameClassification:
    upstream = load_upstream("log_mel")
    torch.manual_seed(0)
    config = structured(FrameClassificationConfig, {"labels": ["high", "low", "mid"], **options})
    return FrameClassification(upstream, build_interface("weighted_sum", upstream.widths, {}), config)


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


def test_rows_say_how_many_of_their_frames_are_wrong() -> None:
    row = {"id": "a", "target": [[3, "x"], [1, None], [2, "y"]], "predicted": [[2, "x"], [4, "y"]]}
    counted = _counted(row)
    assert (counted["num_errors"], counted["num_units"]) == (1, 5)
    assert _counted({**row, "target": None}) == {**row, "target": None}
