"""Suggestions of a toy run: deterministic, other ones in the next round, and wrong tables are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.archive import write_tone

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.annotations import read_annotations, write_annotations
from audiossl.data.archive import archive_windows
from audiossl.data.config import SuggestOptions
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.loading import load_run
from audiossl.experiments.run import PredictedVector, Run
from audiossl.experiments.suggesting import suggest

OPTIONS = SuggestOptions(window_s=0.5, num=3)


@pytest.fixture
def loaded(run: Path, toy_upstream: str) -> Run:
    return load_run(run, device="cpu")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    for number in range(4):
        write_tone(tmp_path / "archive" / f"{number}.wav", 400 + 900 * number, 1.0, seed=number)
    return str(tmp_path / "archive")


def test_rounds_are_the_same_again_and_do_not_repeat(loaded: Run, archive: str, tmp_path: Path) -> None:
    first = suggest(loaded, [archive], OPTIONS)
    assert len(first) == 3
    assert first == suggest(loaded, [archive], OPTIONS)
    table = write_annotations(tmp_path / "first.csv", first, "csv")
    read = read_annotations(table)
    assert [row.fields["rank"] for row in read] == ["1", "2", "3"]
    second = suggest(loaded, [archive], OPTIONS, [table])
    for row in second:
        for other in first:
            shared = min(row.end_s, other.end_s) - max(row.start_s, other.start_s)
            assert row.path != other.path or shared < 0.25 - 1e-6


def test_vectors_are_those_of_each_item_alone(loaded: Run, archive: str) -> None:
    cuts = archive_windows([archive], OPTIONS, 16000)
    together = loaded.predict_with_vectors(cuts)
    (first, *_) = list(cuts)
    alone = loaded.predict_with_vectors(type(cuts).from_cuts([first]))[first.id]
    assert np.allclose(together[first.id].vector, alone.vector, atol=1e-5)
    assert np.allclose(together[first.id].row["scores"], alone.row["scores"], atol=1e-5)
    assert torch.isfinite(torch.tensor(alone.vector)).all()


def test_what_leaves_nothing_to_suggest_is_told(loaded: Run, archive: str, tmp_path: Path) -> None:
    rows = suggest(loaded, [archive], SuggestOptions(window_s=0.5, num=99))
    everything = write_annotations(tmp_path / "all.csv", rows, "csv")
    with pytest.raises(ConfigError, match="annotated already"):
        suggest(loaded, [archive], OPTIONS, [everything])
    (tmp_path / "other.csv").write_text("path,start,end,label\nelsewhere.wav,0,1,a\n")
    with pytest.raises(ManifestError, match="No recording of .*other.csv is in the archive"):
        suggest(loaded, [archive], OPTIONS, [tmp_path / "other.csv"])
    with pytest.raises(ConfigError, match="--by 'luck'"):
        SuggestOptions(by="luck")


def test_runs_that_cannot_suggest_are_told(loaded: Run, archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {f"{n}": PredictedVector({"id": str(n)}, np.zeros(2)) for n in range(4)}
    monkeypatch.setattr(Run, "predict_with_vectors", lambda run, cuts: made)
    whole = SuggestOptions(window_s=1.0, num=1)
    with pytest.raises(ConfigError, match="predictions have no scores of classes"):
        suggest(loaded, [archive], whole)
    monkeypatch.setattr(type(loaded.task), "longest_s", 0.2)
    with pytest.raises(ConfigError, match=r"--window-s 1: .* windows of at most 0.2 s; take --window-s 0.2"):
        suggest(loaded, [archive], whole)
    folds = FoldedRun(loaded.folder, loaded.config, loaded.task, loaded.device, folds={"a": loaded})
    with pytest.raises(ConfigError, match="is a cross-validation"):
        suggest(folds, [archive], whole)
