"""Runs as one: their mean, or weights where these were better on held-out rows of dev."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.utterance_regression.fusing import ALPHAS, fuse_numbers
from audiossl.downstreams.utterance_regression.task import UtteranceRegression
from audiossl.metrics.regression import regression_metrics
from audiossl.training.fusion import RunToFuse


def run_of(errors: float, seed: int, offset: float = 0.0, num_items: int = 60, split: int = 0) -> list[dict[str, Any]]:
    truth = 3 + np.random.default_rng(split).standard_normal(num_items)
    said = truth + offset + errors * np.random.default_rng([seed, split]).standard_normal(num_items)
    return [
        {
            "id": f"{number:03}",
            "target": {"mos": float(truth[number]) if number % 10 else None},
            "predicted": {"mos": float(said[number])},
            "speaker": f"s{number % 8}",
        }
        for number in range(num_items)
    ]


def given(dev: list[Any], test: list[Any]) -> list[RunToFuse]:
    return [RunToFuse(*rows, {}) for rows in zip(dev, test, strict=True)]


def test_equal_weights_are_the_mean_and_need_no_dev() -> None:
    test = [run_of(0.5, 1, split=1), run_of(2.0, 2, split=1)]
    fused = UtteranceRegression.fuse(given([[], []], test), "equal")
    mean = [(a["predicted"]["mos"] + b["predicted"]["mos"]) / 2 for a, b in zip(*test, strict=True)]
    assert [row["predicted"]["mos"] for row in fused.predictions] == pytest.approx(mean, abs=1e-6)
    assert fused.facts["columns"]["mos"] == {"kind": "mean", "why": "as asked for"}


def test_runs_of_equal_worth_are_averaged() -> None:
    dev = [run_of(0.5, seed) for seed in (1, 2)]
    test = [run_of(0.5, seed, split=1) for seed in (1, 2)]
    fused = UtteranceRegression.fuse(given(dev, test), "dev")
    mean = [(a["predicted"]["mos"] + b["predicted"]["mos"]) / 2 for a, b in zip(*test, strict=True)]
    facts = fused.facts["columns"]["mos"]
    if facts["kind"] == "mean":
        assert [row["predicted"]["mos"] for row in fused.predictions] == pytest.approx(mean, abs=1e-6)
    known = [row for row in fused.predictions if row["target"]["mos"] is not None]
    expected = regression_metrics(
        [row["target"]["mos"] for row in known],
        [row["predicted"]["mos"] for row in known],
        [row["speaker"] for row in known],
    )
    assert fused.metrics["ccc"].value == pytest.approx(expected["ccc"].value)
    assert (fused.compared, len(fused.differences)) == ("mae", 2)
    assert all(difference.value < 0 for difference in fused.differences)  # two independent errors are halved


def test_a_run_that_is_off_gets_the_weight_that_dev_says() -> None:
    dev = [run_of(0.1, 1, offset=2.0), run_of(3.0, 2)]
    test = [run_of(0.1, 1, offset=2.0, split=1), run_of(3.0, 2, split=1)]
    fused = fuse_numbers(given(dev, test), "dev")
    facts = fused.facts["columns"]["mos"]
    assert facts["kind"] == "weights"
    assert facts["rmse_out_of_fold"]["weights"] < facts["rmse_out_of_fold"]["mean"]
    assert fused.metrics["mae"].value < 0.2
    rows = [row for row in zip(*dev, strict=True) if row[0]["target"]["mos"] is not None]
    inputs = np.array([[row["predicted"]["mos"] for row in pair] for pair in rows])
    fitted = RidgeCV(alphas=ALPHAS).fit(inputs / inputs.std(), [pair[0]["target"]["mos"] for pair in rows])
    assert facts["weights"] == pytest.approx((fitted.coef_ / inputs.std()).tolist(), abs=1e-5)


def test_a_run_with_itself_is_itself() -> None:
    dev, test = run_of(0.2, 1), run_of(0.2, 1, split=1)
    fused = fuse_numbers(given([dev, dev], [test, test]), "dev")
    if fused.facts["columns"]["mos"]["kind"] == "mean":
        for ours, theirs in zip(fused.predictions, test, strict=True):
            assert ours["predicted"]["mos"] == pytest.approx(theirs["predicted"]["mos"], abs=1e-6)


def test_a_small_dev_fits_nothing() -> None:
    dev, test = [run_of(0.5, seed, num_items=6) for seed in (1, 2)], [run_of(0.5, seed, split=1) for seed in (1, 2)]
    facts = fuse_numbers(given(dev, test), "dev").facts["columns"]["mos"]
    assert facts["kind"] == "mean"
    assert "too few" in facts["why"]


def test_runs_of_other_rows_or_columns() -> None:
    one = run_of(0.5, 1)
    with pytest.raises(AudiosslError, match="first run predicted 60 items and run 2 59"):
        fuse_numbers(given([one, one[:-1]], [one, one]), "dev")
    other = [{**row, "predicted": {"valence": 1.0}} for row in one]
    with pytest.raises(AudiosslError, match="The runs predict other columns than mos"):
        fuse_numbers(given([one, one], [one, other]), "dev")
