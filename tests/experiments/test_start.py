"""Training by what a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments import start
from audiossl.experiments.config import read_experiment
from audiossl.experiments.sweeps.record import SweepRecord

Make = Callable[..., Any]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, bool]]]:
    """What was asked to train, and how."""
    found: list[tuple[str, dict[str, bool]]] = []

    def pretend(name: str) -> Callable[..., Path]:
        def train(config: Any, out: Path, **how: bool) -> Path:
            found.append((name, how))
            return out / name

        return train

    for name in ("train_one", "train_sweep", "train_folds"):
        monkeypatch.setattr(start, name, pretend(name))
    return found


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "train_one"),
        (["finetune=all"], "train_one"),
        (["sweep.lr=[0.1]"], "train_sweep"),
        (["sweep.interface=[last,layer]"], "train_sweep"),
        (["sweep.lr=[]"], "train_one"),
        (["folds=k:3"], "train_folds"),
        (["sweep.lr=[0.1]", "folds=k:3"], "train_folds"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}], ids=str)
def test_the_configuration_decides_what_is_trained(
    tmp_path: Path, called: list[Any], overrides: list[str], name: str, how: dict[str, bool]
) -> None:
    assert start.train(read_experiment(None, overrides), tmp_path, **how) == tmp_path / name
    assert called == [(name, {"resume": False, "overwrite": False, **how})]


def test_what_was_a_sweep_is_gone_on_with_as_one(tmp_path: Path, called: list[Any]) -> None:
    SweepRecord("accuracy", "max", []).write(tmp_path)
    start.train(read_experiment(None), tmp_path, resume=True)
    start.train(read_experiment(None, ["folds=k:3"]), tmp_path, resume=True)  # which refuses it
    start.train(read_experiment(None), tmp_path, overwrite=True)
    assert [name for name, _ in called] == ["train_sweep", "train_sweep", "train_one"]


def test_a_sweep_without_its_values_and_seeds_of_folds_are_refused(experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.seed and folds do not go together, .* a run for each seed=N"):
        start.train(experiment("sweep.seed=[0,1]", "folds=k:3"), tmp_path / "both")
    SweepRecord("accuracy", "max", []).write(tmp_path)
    with pytest.raises(ConfigError, match="is a sweep and its values were taken away; leave the settings sweep"):
        start.train(experiment(), tmp_path, resume=True)
    with pytest.raises(ConfigError, match="is a sweep and has no folds; leave folds out"):
        start.train(experiment("sweep.lr=[0.1]", "folds=k:3"), tmp_path, resume=True)
    assert not (tmp_path / "both").exists()
