"""Members under a budget: those that are kept are those of a full sweep, and those that were stopped could go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import TINY_TERA
from toys.sweeps import assert_equal_runs, lines, stop_in_loss, weights

from audiossl import load_run
from audiossl.core.errors import ConfigError
from audiossl.core.terminal import Interrupted
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.halving import Rung, planned_rungs
from audiossl.experiments.sweeps.record import read_sweep

Make = Callable[..., Any]
RATES, BUDGET = "sweep.lr=[1e-9,0.003,0.1,0.03]", "sweep.budget=2"
PLAN = [Rung(2, 2), Rung(6, 1)]  # of twelve steps, with an evaluation after each two


@pytest.fixture
def halved(short: Make) -> Make:
    """A sweep over four rates that is compared after 2 and 6 of 12 steps."""
    return lambda *more: short(RATES, BUDGET, "trainer.eval_every=2", *more)


def unlimited(config: Any) -> Any:
    return dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, budget=0.0))


def steps_of(sweep: Path) -> dict[str, int]:
    """How many steps each member has made."""
    return {each.name: lines(sweep / each.name, "train")[-1]["step"] for each in read_sweep(sweep).members}


def best_until(run: Path, step: int) -> float:
    return max(line["accuracy"] for line in lines(run, "dev") if line["step"] <= step)


def kept_by_hand(full: Path, names: list[str]) -> list[list[str]]:
    """Who goes on after each rung, by the logs of a sweep in which all go on."""
    rates = {each.name: each.values["lr"] for each in read_sweep(full).members}
    kept = []
    for rung in PLAN:
        names = sorted(names, key=lambda name: (-best_until(full / name, rung.step), rates[name]))[: rung.kept]
        kept.append(names)
    return kept


def assert_equal_sweeps(first: Path, second: Path) -> None:
    assert read_sweep(first) == read_sweep(second)
    for each in read_sweep(first).members:
        if each.state == "finished":
            assert_equal_runs(first / each.name, second / each.name)
        assert lines(first / each.name, "train") == lines(second / each.name, "train")
        assert lines(first / each.name, "dev") == lines(second / each.name, "dev")


AXES = {
    "one pass": ["sweep.stack=off"],
    "frames": ["task.pooling=max"],
}


@pytest.mark.parametrize("settings", AXES.values(), ids=AXES)
def test_those_that_are_kept_are_those_of_a_full_sweep(halved: Make, tmp_path: Path, settings: list[str]) -> None:
    config = halved(*settings)
    assert planned_rungs(config) == PLAN
    sweep, full = train(config, tmp_path / "sweep"), train(unlimited(config), tmp_path / "full")
    record = read_sweep(sweep)
    ahead, (winner,) = kept_by_hand(full, [each.name for each in record.members])
    steps = {each.name: 2 for each in record.members} | dict.fromkeys(ahead, 6) | {winner: 12}
    assert steps_of(sweep) == steps
    assert sum(steps.values()) <= 2 * 12
    assert [each.name for each in record.members if each.state == "finished"] == [winner]
    assert_equal_runs(full / winner, sweep / winner)
    for each in record.members:
        assert (each.state == "stopped") == (each.name != winner)
        assert each.dev == best_until(full / each.name, steps[each.name])
        assert [line for line in lines(full / each.name, "train") if line["step"] <= steps[each.name]] == lines(
            sweep / each.name, "train"
        )
    assert record.best() is next(each for each in record.members if each.name == winner)
    assert load_run(sweep, device="cpu").folder == sweep / winner
    assert "3 of 4 members were behind on dev and stopped early" in record.notes[-1]
    assert not RunFolder(sweep / record.ranked("stopped")[0].name).is_finished


def test_stacked_heads_are_taken_out_of_their_stack(halved: Make, tmp_path: Path) -> None:
    sweep, turns = train(halved(), tmp_path / "sweep"), train(halved("sweep.stack=off"), tmp_path / "turns")
    assert steps_of(sweep) == steps_of(turns)
    for name in steps_of(turns):
        for key, value in weights(turns / name).items():
            torch.testing.assert_close(weights(sweep / name)[key], value, rtol=5e-3, atol=5e-4)


def test_members_of_several_passes_are_compared_with_each_other(halved: Make, tmp_path: Path) -> None:
    """Means for two of them, frames for the others; and each seed by itself."""
    config = halved("sweep.lr=[1e-9,0.1]", "sweep.task=[{},{pooling: max}]", "sweep.seed=[0,1]", "sweep.stack=off")
    config = dataclasses.replace(config, sweep=dataclasses.replace(config.sweep, budget=4.0))
    assert planned_rungs(config) == PLAN
    sweep, full = train(config, tmp_path / "sweep"), train(unlimited(config), tmp_path / "full")
    for seed in (0, 1):
        _, (winner,) = kept_by_hand(full, [each.name for each in read_sweep(full).members if each.seed == seed])
        assert read_sweep(sweep).best(seed).name == winner  # type: ignore[union-attr]
        assert_equal_runs(full / winner, sweep / winner)
        assert sorted(steps for name, steps in steps_of(sweep).items() if name.endswith(f"seed{seed}")) == [2, 2, 6, 12]


@pytest.mark.parametrize("stack", ["off", "auto"])
@pytest.mark.parametrize("loss", [3, 9, 14, 19])
def test_a_sweep_that_was_stopped_goes_on_exactly(
    halved: Make, tmp_path: Path, loss: int, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C before the first rung, after it, and after the second, in two passes of which one waits at a rung."""
    config = halved("sweep.stack=" + stack, "sweep.lr=[1e-9,0.1]", "sweep.task=[{},{pooling: max}]")
    straight = train(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        stop_in_loss(patch, loss if stack == "off" else max(loss // 2, 2))
        with pytest.raises(Interrupted):
            train(config, tmp_path / "stopped")
    train(read_experiment(tmp_path / "stopped" / "config.yaml"), tmp_path / "stopped", resume=True)
    if stack == "off":
        assert_equal_sweeps(straight, tmp_path / "stopped")
    assert steps_of(straight) == steps_of(tmp_path / "stopped")


@pytest.mark.parametrize("updates", [5, 8, 9, 13, 16, 18])
@pytest.mark.parametrize("save_every", [3, 100])
def test_a_sweep_that_was_killed_goes_on_exactly(halved: Make, tmp_path: Path, updates: int, save_every: int) -> None:
    """Four members make 8 updates up to the first rung, two another 8 up to the second."""
    config = halved("sweep.stack=off", f"trainer.save_every={save_every}")
    straight, killed = train(config, tmp_path / "straight"), tmp_path / "killed"
    original, count = torch.optim.Adam.step, [0]

    def step(self: Any, *arguments: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] == updates:
            raise MemoryError
        return original(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        with pytest.raises(MemoryError):
            train(config, killed)
    stopped = [each.name for each in read_sweep(killed).members if each.state == "stopped"]
    assert len(stopped) == (0 if updates <= 8 else 2 if updates <= 16 else 3)
    train(config, killed, resume=True)
    assert_equal_sweeps(straight, killed)


def test_without_the_budget_those_that_were_stopped_go_on(halved: Make, tmp_path: Path) -> None:
    config = halved("sweep.stack=off")
    sweep, full = train(config, tmp_path / "sweep"), train(unlimited(config), tmp_path / "full")
    again = {path: path.stat().st_mtime_ns for path in sweep.glob("*/checkpoints/*")}
    train(config, sweep, resume=True)
    assert {path: path.stat().st_mtime_ns for path in sweep.glob("*/checkpoints/*")} == again
    train(read_experiment(sweep / "config.yaml", ["sweep.budget=0"]), sweep, resume=True)
    assert [each.state for each in read_sweep(sweep).members] == ["finished"] * 4
    assert_equal_sweeps(full, sweep)


def test_a_head_that_ends_early_or_fails_leaves_its_place_to_others(halved: Make, tmp_path: Path) -> None:
    """One rate fails before the first rung, so that only one of the others has to stop."""
    settings = ["trainer.max_nonfinite=1", "trainer.optimizer=sgd", "trainer.clip=0", "sweep.lr=[1e30,0.1,0.01,1e-9]"]
    sweep = train(halved(*settings, "sweep.stack=off"), tmp_path / "sweep")
    assert [each.state for each in read_sweep(sweep).members].count("failed") == 1
    assert sorted(steps_of(sweep).values())[1:] == [2, 6, 12]
    patient = train(halved("trainer.patience=1", "sweep.stack=off"), tmp_path / "patient")
    states = [each.state for each in read_sweep(patient).members]
    assert "training" not in states
    assert "finished" in states


def test_each_fold_of_a_cross_validation_has_the_budget(halved: Make, corpus: Path, tmp_path: Path) -> None:
    settings = ["data.all=train.jsonl.gz", "folds=k:2", "folds.group=''"]
    out = train(halved(*settings), tmp_path / "folds")
    for name, run in load_run(out, device="cpu").folds.items():  # type: ignore[attr-defined]
        assert sorted(steps_of(out / "folds" / name).values()) == [2, 2, 6, 12]
        assert lines(run.folder, "train")[-1]["step"] == 12
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    train(halved(*settings), out, resume=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_those_that_were_stopped_are_marked_in_tables(halved: Make, tmp_path: Path, audiossl: Make) -> None:
    sweep = train(halved(), tmp_path / "sweep")
    done = audiossl("evaluate", sweep)
    assert done.code == 0, done.err
    assert "stopped: behind on dev at step 2" in done.out
    assert audiossl("report", sweep, "--out", tmp_path / "page").code == 0
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("stopped early") == 3 + 1  # and in the note


def test_what_a_budget_cannot_do_is_one_sentence(halved: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"sweep\.budget=1\.1 is too small: 4 members"):
        train(halved("sweep.budget=1.1"), tmp_path / "out")
    tuned = ["upstream=tera", "upstream_options.weights=random", "finetune=all"]
    tuned += [f"upstream_options.{key}={value}" for key, value in TINY_TERA.items()]
    for more in ([], ["folds=k:2"]):
        with pytest.raises(ConfigError, match=r"budget=2 compares .* with finetune=all they are trained one after"):
            train(halved(*tuned, *more), tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ConfigError, match="with more than one process they are trained one after another"):
            train(halved(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    sweep = train(halved(), tmp_path / "sweep")
    for change in ("sweep.lr=[0.1,0.01]", "sweep.budget=3", "sweep.keep=0.9", "trainer.steps=24", "sweep.budget=9"):
        with pytest.raises(ConfigError, match=r"was planned otherwise when .* or let .* with sweep\.budget=0"):
            train(halved(change), sweep, resume=True)
