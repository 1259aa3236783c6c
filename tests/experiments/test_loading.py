"""A trained run from its folder, of whichever kind it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.tera import TERA_SIZES

from audiossl import load_run
from audiossl.core.config import save_yaml
from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.experiments import loading
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord
from audiossl.experiments.training import pretrain

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("overrides", "members", "expected"),
    [
        ([], [], ("load_single", "")),
        (["folds=k:3"], [], ("load_folds", "")),
        ([], [0.2, 0.9, 0.5], ("load_single", "m1")),
    ],
    ids=["single", "cross-validation", "sweep"],
)
def test_each_kind_is_loaded_as_what_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: list[str],
    members: list[float],
    expected: tuple[str, str],
) -> None:
    asked: list[Any] = []
    for name in ("load_single", "load_folds"):
        monkeypatch.setattr(loading, name, lambda *arguments, name=name: asked.append((name, *arguments)))
    save_yaml(read_experiment(None, overrides), tmp_path / "config.yaml")
    if members:
        records = [MemberRecord(f"m{number}", {}, "finished", dev) for number, dev in enumerate(members)]
        SweepRecord("accuracy", "max", records).write(tmp_path)
    load_run(str(tmp_path), "last", "cpu", ["seed=1"])
    assert asked == [(expected[0], tmp_path / expected[1], "last", "cpu", ["seed=1"])]


def test_a_sweep_of_which_nothing_is_finished_says_how_to_go_on(tmp_path: Path) -> None:
    SweepRecord("accuracy", "max", [MemberRecord("m0", {}, "training")]).write(tmp_path)
    with pytest.raises(TrainingError, match=f"is finished; go on with `audiossl train --resume {tmp_path}`"):
        load_run(tmp_path)


def test_what_is_no_run_folder_says_so(tmp_path: Path, run: Path) -> None:
    with pytest.raises(AudiosslError, match="is not a run folder"):
        load_run(tmp_path)
    (run / "run.json").unlink()
    with pytest.raises(AudiosslError, match=r"run\.json cannot be read"):
        load_run(run)


def test_a_pretraining_run_cannot_predict_but_is_an_upstream(tmp_path: Path, corpus: Path, experiment: Make) -> None:
    overrides = [f"data.dir={corpus}", "trainer.steps=2", "data.batch_size=6", *TERA_SIZES]
    out = pretrain(read_experiment(None, overrides, pretrain=True), tmp_path / "encoder")
    with pytest.raises(AudiosslError, match=f"{out} is a pre-training run, which .*; use it as upstream={out}\\.$"):
        load_run(out)
    run = train(experiment(f"upstream={out}", "trainer.steps=2"), tmp_path / "run")
    assert load_run(run).task.upstream.widths == (16, 16, 16)
