"""Scores of two systems as one: better than each, and compared with each."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.downstreams.speaker_verification.fusing import fuse_trials
from audiossl.training.fusion import RunToFuse


def systems(seed: int) -> list[list[dict[str, object]]]:
    """Two systems whose errors have nothing to do with each other."""
    rng = np.random.default_rng(seed)
    made: list[list[dict[str, object]]] = [[], []]
    for number in range(900):
        left, right = sorted(rng.integers(0, 12, 2).tolist())
        target = int(left == right or rng.random() < 0.2)
        right = left if target else right
        for rows in made:
            rows.append(
                {
                    "id": f"t{number}",
                    "enrol": f"e{number}",
                    "test": f"x{number}",
                    "target": target,
                    "score": float(rng.standard_normal() + 2 * target),
                    "llr": None,
                    "speaker_enrol": f"s{left}",
                    "speaker_test": f"s{right}",
                }
            )
    return made


def runs(dev: list[list[dict[str, object]]], test: list[list[dict[str, object]]]) -> list[RunToFuse]:
    return [RunToFuse(*rows, {}) for rows in zip(dev, test, strict=True)]


def test_the_fusion_is_better_than_each_and_calibrated() -> None:
    fused = fuse_trials(runs(systems(0), systems(1)), "dev")
    assert fused.compared == "eer"
    assert all(difference.value < -0.02 for difference in fused.differences)
    assert all(difference.high is not None and difference.high < 0 for difference in fused.differences)
    assert fused.metrics["cllr"].value < 0.5
    # Both systems are as good, with a ratio of 2 s - 2 each, and independent.
    assert fused.facts["weights"] == pytest.approx([2, 2], abs=0.4)
    assert fused.predictions[0]["score"] == fused.predictions[0]["llr"]


def test_other_trials_are_named() -> None:
    dev, test = systems(0), systems(1)
    test[1][3] = {**test[1][3], "id": "other"}
    with pytest.raises(AudiosslError, match=r"where the first has 't3' .*, run 2 has 'other'"):
        fuse_trials(runs(dev, test), "dev")
    with pytest.raises(ConfigError, match="--weights equal makes no mean"):
        fuse_trials(runs(dev, dev), "equal")
