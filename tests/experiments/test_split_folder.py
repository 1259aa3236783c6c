"""Where an evaluation leaves what it wrote."""

from __future__ import annotations

from pathlib import Path

from audiossl.experiments.split_folder import SplitFolder


def test_names_of_its_files() -> None:
    split = SplitFolder(Path("run") / "test")
    assert split.name == "test"
    names = [split.predictions.name, split.metrics.name, split.told.name]
    assert names == ["predictions.jsonl", "metrics.json", "adversary.jsonl"]
    assert {path.parent for path in (split.predictions, split.metrics, split.told)} == {split.path}
