"""A sweep over parts of the training rows: each part is a search of its own, on nested rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl import load_run
from audiossl.core.errors import ConfigError
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.members import members_of
from audiossl.experiments.sweeps.record import read_sweep, runs_of
from audiossl.report import build_report

Make = Callable[..., Any]
SUBSETS = "sweep.subset=[20%,0.5,1]"


def test_members_are_runs_on_parts_that_lie_within_one_another(short: Make, tmp_path: Path) -> None:
    out = train(short(SUBSETS, "sweep.lr=[0.1,0.001]"), tmp_path / "sweep")
    record = read_sweep(out)
    assert [member.name for member in record.members][:2] == ["subset20pct-lr0.1", "subset20pct-lr0.001"]
    assert [member.subset for member in record.chosen] == ["20%", "0.5", "1"]
    ids = []
    for member in record.chosen:
        config = RunFolder(out / member.name).config()
        ids.append({cut.id for cut in config.data.rows("train")})
    assert ids[0] < ids[1] < ids[2]
    assert {run.name for run in runs_of(out)} == {member.name for member in record.chosen}
    # What a label is comes from all rows, so that members can be compared.
    labels = [RunFolder(out / member.name).config().task["labels"] for member in record.members]
    assert all(each == labels[-1] for each in labels)


def test_a_member_is_the_run_that_it_would_be_alone(short: Make, tmp_path: Path) -> None:
    out = train(short(SUBSETS), tmp_path / "sweep")
    alone = train(short("data.subset=0.5"), tmp_path / "alone")
    ours, theirs = (load_run(run).evaluate("dev") for run in (out / "subset0.5", alone))
    assert {name: metric.value for name, metric in ours.items()} == {
        name: metric.value for name, metric in theirs.items()
    }


def test_a_fine_tuned_encoder_has_its_part_too(short: Make, tmp_path: Path) -> None:
    out = train(short(SUBSETS, "finetune=all"), tmp_path / "sweep")
    assert [member.state for member in read_sweep(out).members] == ["finished"] * 3


def test_the_report_has_a_curve(short: Make, tmp_path: Path) -> None:
    out = train(short(SUBSETS, "sweep.seed=[0,1]"), tmp_path / "sweep")
    assert len(runs_of(out)) == 6
    for run in runs_of(out):
        load_run(run).evaluate("test")
    page = build_report([out], tmp_path / "report").read_text(encoding="utf-8")
    assert "by how much of the training rows is used" in page
    assert "training rows (%)" in page


def test_a_budget_is_shared_by_the_parts(short: Make, tmp_path: Path) -> None:
    out = train(short(SUBSETS, "sweep.lr=[0.1,0.001]", "sweep.budget=5", "trainer.eval_every=3"), tmp_path / "sweep")
    assert [member.subset for member in read_sweep(out).chosen] == ["20%", "0.5", "1"]
    assert sorted(member.state for member in read_sweep(out).members) == ["finished"] * 3 + ["stopped"] * 3


@pytest.mark.parametrize(
    ("value", "said"),
    [("[0]", r"sweep\.subset='0' is no amount"), ("[10min,10min]", "has 10min twice"), ("[2h]", "is more than the")],
)
def test_what_is_no_part_is_one_sentence(value: str, said: str, short: Make, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=said) as error:
        train(short(f"sweep.subset={value}"), tmp_path / "sweep")
    assert isinstance(error.value, ConfigError) or "data.subset=2h" in str(error.value)


def test_each_combination_is_a_member(short: Make) -> None:
    names = [plan.name for plan in members_of(short("sweep.subset=[10min,0.1]", "sweep.seed=[0,1]"))]
    assert names == ["subset10min-seed0", "subset10min-seed1", "subset0.1-seed0", "subset0.1-seed1"]
