"""Runs with several targets as one: each target as it would be fused alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.multi_task.task import MultiTask
from audiossl.training.fusion import RunToFuse

FACTS = {
    "targets": {
        "mood": {"kind": "class", "labels": ["calm", "loud", "sad"]},
        "rank": {"kind": "ordinal", "labels": ["1", "2", "3"]},
        "age": {"kind": "number"},
    }
}


def run_of(noise: dict[str, float], seed: int, split: int = 0, num_items: int = 80) -> list[dict[str, Any]]:
    """Predictions that are the truth with noise of that size, the same truth for every seed."""
    truth, draw = np.random.default_rng(split), np.random.default_rng([seed, split])
    rows = []
    for number in range(num_items):
        mood, rank, age = truth.integers(3), truth.integers(3), 40 + 10 * truth.standard_normal()
        scores = {}
        for name, right in (("mood", mood), ("rank", rank)):
            heard = np.exp(3 * np.eye(3)[right] + noise[name] * draw.standard_normal(3))
            scores[name] = (heard / heard.sum()).round(6).tolist()
        labels = FACTS["targets"]
        said = {name: labels[name]["labels"][int(np.argmax(scores[name]))] for name in scores}  # type: ignore[index]
        target = {"mood": labels["mood"]["labels"][mood], "rank": str(rank + 1), "age": float(age)}
        target["mood"] = None if number % 7 == 0 else target["mood"]
        said["age"] = float(age + noise["age"] * draw.standard_normal())
        row = {"id": f"{number:03}", "target": target, "predicted": said, "scores": scores, "speaker": f"s{number % 8}"}
        rows.append(row)
    return rows


GOOD_EARS = {"mood": 1.0, "rank": 6.0, "age": 30.0}
GOOD_RANKS = {"mood": 6.0, "rank": 1.0, "age": 5.0}


def fused(weights: Any, second: dict[str, float] = GOOD_RANKS) -> Any:
    runs = [
        RunToFuse(run_of(noise, seed) if weights == "dev" else [], run_of(noise, seed, 1), FACTS)
        for seed, noise in enumerate((GOOD_EARS, second))
    ]
    return runs, MultiTask.fuse(runs, weights)


def test_equal_weights_are_means() -> None:
    runs, made = fused("equal")
    for row, a, b in zip(made.predictions, *(run.test for run in runs), strict=True):
        assert row["predicted"]["age"] == pytest.approx((a["predicted"]["age"] + b["predicted"]["age"]) / 2, abs=1e-5)
        for name in ("mood", "rank"):
            mean = (np.array(a["scores"][name]) + b["scores"][name]) / 2
            assert row["scores"][name] == pytest.approx(mean.tolist(), abs=2e-6)
        assert row["predicted"]["mood"] == FACTS["targets"]["mood"]["labels"][int(np.argmax(row["scores"]["mood"]))]  # type: ignore[index]


def test_each_target_has_weights_of_its_own_from_dev() -> None:
    _, made = fused("dev")
    told = made.facts["targets"]
    assert told["mood"]["weights"][0] > 0.7 and told["rank"]["weights"][1] > 0.7
    assert abs(told["age"]["weights"][1]) > abs(told["age"]["weights"][0])
    # Better than either run in all, by the mean over targets.
    assert made.compared == "mean"
    assert all(gap.value > 0 and gap.low is not None for gap in made.differences)
    assert {"mood.uar", "rank.qwk", "age.ccc", "mean"} <= made.metrics.keys()


def test_a_run_with_itself_is_itself() -> None:
    runs, _ = fused("equal")
    made = MultiTask.fuse([runs[0], runs[0]], "equal")
    assert [row["predicted"]["mood"] for row in made.predictions] == [row["predicted"]["mood"] for row in runs[0].test]
    assert [gap.value for gap in made.differences] == pytest.approx([0, 0], abs=1e-8)  # numbers have six decimals


def test_runs_of_other_targets_are_refused() -> None:
    runs, _ = fused("equal")
    other = {"targets": {**FACTS["targets"], "rank": {"kind": "ordinal", "labels": ["1", "2"]}}}
    with pytest.raises(AudiosslError, match="other targets, or other labels of one; fuse runs of the same targets"):
        MultiTask.fuse([runs[0], runs[1]._replace(facts=other)], "equal")
    with pytest.raises(AudiosslError, match="do not say which targets they have; evaluate them again"):
        MultiTask.fuse([run._replace(facts={}) for run in runs], "equal")
