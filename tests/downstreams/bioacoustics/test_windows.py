"""Windows with many labels: loss, predictions, scores, leaks between splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import nn
from toys.calls import MIXED, Config, batch_of, cut_of, toy

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError, LabelError, ManifestError
from audiossl.core.types import Batch
from audiossl.data.annotated import Windows, cuts_of_windows
from audiossl.data.annotations import Annotation
from audiossl.data.manifests import write_manifests
from audiossl.data.splits import split_cuts
from audiossl.downstreams.bioacoustics.task import Bioacoustics
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train


def test_loss_is_the_binary_cross_entropy() -> None:
    task, batch = toy().eval(), batch_of(MIXED)
    targets = torch.tensor([[float(name in label.split("|")) for name in ("hi", "lo")] for label in MIXED])
    expected = nn.functional.binary_cross_entropy_with_logits(task.logits(batch), targets)
    torch.testing.assert_close(task.loss(batch).total, expected)
    assert float(task.loss(batch).weight) == len(MIXED)
    weighted = toy(class_weights=True, label_counts=[3, 8], num_items=12).eval()
    weights = torch.tensor([3.0, 0.5])
    expected = nn.functional.binary_cross_entropy_with_logits(weighted.logits(batch), targets, pos_weight=weights)
    torch.testing.assert_close(weighted.loss(batch).total, expected)


def test_it_learns_windows_with_both_one_and_none() -> None:
    task, batch = toy(), batch_of(MIXED * 2)
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=3e-2)
    for _ in range(40):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    rows = json.loads(json.dumps(task.eval().predict(batch_of(MIXED * 2, seed=1))))
    assert {name: metric.value for name, metric in task.score(rows).items()} == {"map": 1.0, "auroc": 1.0}
    assert all(row["predicted"] == row["target"] for row in rows)


def test_score_is_scikit_learns_over_the_classes_that_occur() -> None:
    task = toy(labels=["hi", "lo", "never"]).eval()
    rows = task.predict(batch_of(MIXED))
    targets = np.array([[name in row["target"] for name in ("hi", "lo")] for row in rows])
    scores = np.array([row["scores"][:2] for row in rows])
    expected = np.mean([average_precision_score(targets[:, c], scores[:, c]) for c in (0, 1)])
    assert task.score(rows)["map"].value == pytest.approx(expected)
    assert task.facts(rows)["labels_left_out"] == ["never"]
    (table,) = task.tables(rows)
    assert table.rows[2][:7] == ["never", 0, 0.0, None, None, None, None]
    assert "No window has never" in table.note
    nothing = task.predict(batch_of(["", ""]))
    with pytest.raises(LabelError, match="nothing to score"):
        task.score(nothing)


def test_groups_are_recordings_or_what_is_asked_for() -> None:
    cuts = [cut_of(number, "lo", custom={"recording": f"tape {number // 2}", "bird": "b1"}) for number in range(4)]
    batch = batch_of(["lo"] * 4)
    for kind in (Bioacoustics, BioacousticWindows):
        rows = toy(kind).eval().predict(Batch(batch.wavs, batch.lengths, tuple(cuts)))
        assert [row["group"] for row in rows] == ["tape 0", "tape 0", "tape 1", "tape 1"]
        rows = toy(kind, group_field="bird").eval().predict(Batch(batch.wavs, batch.lengths, tuple(cuts)))
        assert [row["group"] for row in rows] == ["b1"] * 4


def test_complete_and_check() -> None:
    cuts = [cut_of(number, label) for number, label in enumerate(MIXED)]
    config = BioacousticWindows.complete(Config(), cuts)
    assert (config.labels, config.label_counts, config.num_items) == (["hi", "lo"], [5, 5], 12)
    assert (config.window_s, config.hop_s) == (0.5, 0.25)
    with pytest.raises(LabelError, match="No training window has a label in the field 'label'"):
        BioacousticWindows.complete(Config(), [cut_of(0, "")])
    with pytest.raises(LabelError, match=r"'item-3' of dev has no field 'label'"):
        toy().check_cuts([cut_of(0, ""), cut_of(3, None)], "dev")
    with pytest.raises(
        LabelError, match=r"1 label\(s\) of dev were not seen in training: 'mid' \(for instance item 'item-1'"
    ):
        toy().check_cuts([cut_of(0, "hi|lo"), cut_of(1, "hi|mid")], "dev")
    toy(window_s=0.5).check_split([cut_of(0, "hi")], "test")
    toy(window_s=0.1).check_split([cut_of(0, "hi")], "train")  # a loss is of whole rows
    with pytest.raises(LabelError, match=r"'item-0' of test lasts 0.5 s and a window 0.1 s.*task.window_s=1"):
        toy(window_s=0.1).check_split([cut_of(0, "hi")], "test")
    assert len(toy(labels=["call"]).eval().predict(batch_of(["lo"]))[0]["scores"]) == 1  # a call or none
    with pytest.raises(ConfigError, match=r"threshold=1.* must be above 0 and below 1"):
        structured(Config, {"threshold": 1.0})
    with pytest.raises(ConfigError, match="nor the hop longer than the window"):
        Config(window_s=1.0, hop_s=2.0)


def test_windows_of_one_recording_in_two_splits_are_refused(
    field: tuple[Path, list[Annotation]], tmp_path: Path
) -> None:
    folder, calls = field
    windows = list(cuts_of_windows(calls, Windows(0.5, 0.25), root=folder)["all"])
    write_manifests(split_cuts(windows, {"train": 0.5, "dev": 0.25, "test": 0.25}, by="item"), tmp_path / "leaky")
    overrides = ["downstream=bioacoustic_windows", "setting=default", "upstream=log_mel", f"data.dir={tmp_path}/leaky"]
    with pytest.raises(ManifestError, match=r"train & dev share \d of recording, for instance '.*day\d\.wav'"):
        train(read_experiment(None, overrides), tmp_path / "out")
