"""All members of a sweep, in one split or over folds, as one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.core.files import read_jsonl
from audiossl.experiments.cross_validation.members import evaluate_members
from audiossl.experiments.cross_validation.run import fold_names
from audiossl.experiments.start import train

Make = Callable[..., Any]


def test_a_member_over_folds_is_its_runs_of_all_of_them(folded: Make, tmp_path: Path, audiossl: Make) -> None:
    heads = "sweep.task=[{hidden: []}, {hidden: [4]}]"
    settings = ("adversary=speaker", "sweep.adversary=[0,3]", heads, "folds=k:3", "folds.group=''")
    run = train(folded(*settings), tmp_path / "run")
    found = evaluate_members(run)
    assert [each.name for each in found] == [
        f"{head}-adversary{weight}" for head in ("hidden", "hidden__4") for weight in (0, 3)
    ]
    for each in found:
        rows = [
            row
            for fold in fold_names(run)
            for row in read_jsonl(run / "folds" / fold / each.name / "test" / "predictions.jsonl")
        ]
        right = [row["target"] == row["predicted"] for row in rows]
        assert len(each.predictions) == len(rows) == 18
        assert each.metrics["accuracy"].value == pytest.approx(sum(right) / 18)
        assert each.metrics["accuracy"].num_clusters == 3
    told = json.loads(audiossl("evaluate", run, "--members", "--json").out)
    assert [row["member"] for row in told["members"]] == [each.name for each in found]
    assert told["members"][0]["minus_first"] is None
    gap = told["members"][1]["minus_first"]["value"]
    assert gap == pytest.approx(found[1].metrics["accuracy"].value - found[0].metrics["accuracy"].value)
    shown = audiossl("evaluate", run, "--members")
    assert "all members" in shown.out and "hidden__4-adversary3" in shown.out


def test_a_sweep_of_one_split_and_ways_of_fine_tuning(experiment: Make, tmp_path: Path) -> None:
    settings = ["upstream=tera", "upstream_options.weights=random", "trainer.steps=3", "trainer.average_best=2"]
    sizes = {"width": 8, "num_layers": 1, "num_heads": 2, "ffn_width": 8}
    settings += [f"upstream_options.{key}={value}" for key, value in sizes.items()]
    run = train(experiment(*settings, "sweep.finetune=[none,all]"), tmp_path / "run")
    for checkpoint in ("best", "averaged"):
        found = evaluate_members(run, checkpoint=checkpoint)
        assert [(each.name, len(each.predictions)) for each in found] == [("none", 12), ("all", 12)]
    with pytest.raises(ConfigError, match=r"sweep\.budget=1 .* with finetune=all"):
        train(experiment(*settings, "sweep.finetune=[none,all]", "sweep.budget=1"), tmp_path / "other")


def test_what_has_no_members_is_said(run: Path) -> None:
    with pytest.raises(ConfigError, match="is neither a sweep nor a cross-validation of sweeps"):
        evaluate_members(run)
