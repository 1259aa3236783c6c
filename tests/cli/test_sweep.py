"""`audiossl evaluate` of a sweep: its members, and figures over seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
from rich.console import Console

from audiossl.cli.sweep import figures_table, members_table, over_seeds
from audiossl.core.types import Metric
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import MemberRecord, SweepRecord


def printed(table: Any) -> list[str]:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return console.export_text().splitlines()


def test_seeds_have_a_mean_and_a_deviation_and_one_has_none() -> None:
    found = {f"seed{seed}": {"uar": Metric(value), "f1": Metric(0.5)} for seed, value in enumerate((0.5, 0.7))}
    assert over_seeds(found)["uar"] == {"mean": pytest.approx(0.6), "std": pytest.approx(stdev((0.5, 0.7)))}
    assert over_seeds({"seed0": found["seed0"]}) == {}
    del found["seed1"]["f1"]
    assert over_seeds(found).keys() == {"uar"}  # what one of them lacks has no mean


def test_members_are_shown_with_what_became_of_them() -> None:
    members = [
        MemberRecord("a", {"seed": 0}, "finished", 0.5, 20),
        MemberRecord("b", {"seed": 1}, "finished", 0.75, 40),
        MemberRecord("c", {"seed": 1}, "failed", why="the loss is not finite"),
        MemberRecord("d", {"seed": 0}),
    ]
    text = printed(members_table(SweepRecord("uar", "max", members), "RUN: uar on dev"))
    rows = {name: next(line for line in text if f" {name} " in line) for name in "abcd"}
    assert "50.0" in rows["a"] and "best of seed 0" in rows["a"]
    assert "75.0" in rows["b"] and "best" in rows["b"] and "seed" not in rows["b"]
    assert "failed: the loss is not finite" in rows["c"]
    assert "waiting" in rows["d"]


def test_figures_have_their_intervals_and_a_line_over_seeds() -> None:
    found = {"a": {"uar": Metric(0.5, 0.4, 0.6)}, "b": {"uar": Metric(0.7)}}
    text = "\n".join(printed(figures_table(found, "Chosen on dev")))
    assert "40.0 to 60.0" in text
    assert "mean of 2 seeds" in text and "60.0" in text and "± 14.1" in text


def test_a_sweep_is_evaluated_by_the_best_of_each_seed(
    audiossl: Callable[..., Any], experiment: Callable[..., Any], tmp_path: Path
) -> None:
    settings = ["trainer.steps=6", "trainer.eval_every=6", f"cache.dir={tmp_path / 'features'}"]
    run = train(experiment(*settings, "sweep.lr=[0.1,0.001]", "sweep.seed=[0,1]"), tmp_path / "run")
    facts = json.loads(audiossl("evaluate", run, "--split", "dev", "--json").out)
    assert facts["split"] == "dev"
    assert len(facts["members"]) == 4
    assert sorted(facts["evaluated"]) == sorted(facts["best_of_seed"].values())
    assert set(facts["over_seeds"]) >= {"accuracy", "uar"}
    shown = audiossl("evaluate", run, "--split", "dev").out
    assert "best of seed" in shown and "mean of 2 seeds" in shown
