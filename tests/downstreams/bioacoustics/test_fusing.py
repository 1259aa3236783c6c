"""Windows with several labels: one run of several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.training.fusion import RunToFuse

LABELS = ["chirp", "trill", "whistle"]
FACTS = {"labels": LABELS}


def run_of(noise: float, seed: int, split: int = 0, num_items: int = 120) -> list[dict[str, Any]]:
    truth = np.random.default_rng(split).random((num_items, 3)) < 0.3
    logits = 3 * truth - 1.5 + noise * np.random.default_rng([seed, split]).standard_normal(truth.shape)
    scores = 1 / (1 + np.exp(-logits))
    return [
        {
            "id": f"{number:03}",
            "target": [label for label, there in zip(LABELS, truth[number], strict=True) if there],
            "predicted": [label for label, score in zip(LABELS, scores[number], strict=True) if score >= 0.5],
            "scores": scores[number].tolist(),
            "group": f"r{number % 10}",
        }
        for number in range(num_items)
    ]


def matrix(rows: list[dict[str, Any]], key: str) -> Any:
    return np.array([[label in row[key] for label in LABELS] for row in rows])


def fused(weights: Any, noises: tuple[float, float] = (1.0, 4.0)) -> Any:
    runs = [
        RunToFuse(run_of(noise, seed) if weights == "dev" else [], run_of(noise, seed, 1), FACTS)
        for seed, noise in enumerate(noises)
    ]
    return runs, BioacousticWindows.fuse(runs, weights)


def test_equal_weights_are_means_and_most_runs_decide() -> None:
    runs, made = fused("equal")
    scores = np.mean([[row["scores"] for row in run.test] for run in runs], axis=0)
    np.testing.assert_allclose([row["scores"] for row in made.predictions], scores, rtol=1e-5)
    half = matrix(runs[0].test, "predicted") | matrix(runs[1].test, "predicted")
    assert (matrix(made.predictions, "predicted") == half).all()
    targets = matrix(made.predictions, "target")
    assert made.metrics["map"].value == pytest.approx(average_precision_score(targets, scores, average="macro"))
    assert made.facts["thresholds"] is None


def test_dev_says_whom_to_trust_and_from_which_score_on() -> None:
    runs, made = fused("dev")
    assert made.facts["weights"][0] > 0.8
    thresholds = np.array(made.facts["thresholds"])
    dev = [np.array([row["scores"] for row in run.dev]) for run in runs]
    scores = sum(weight * each for weight, each in zip(made.facts["weights"], dev, strict=True))
    truth = matrix(runs[0].dev, "target")
    for number in range(3):  # no threshold is better on dev
        best = max(f1_score(truth[:, number], scores[:, number] >= each) for each in np.unique(scores[:, number]))
        found = f1_score(truth[:, number], scores[:, number] >= thresholds[number])
        assert found == pytest.approx(best, abs=1e-9)
    assert made.compared == "map" and made.differences[1].value > 0


def test_a_run_with_itself_is_itself() -> None:
    runs, _ = fused("equal")
    made = BioacousticWindows.fuse([runs[0], runs[0]], "equal")
    assert [row["predicted"] for row in made.predictions] == [row["predicted"] for row in runs[0].test]
    assert [gap.value for gap in made.differences] == [0, 0]


def test_what_cannot_be_fused_is_one_sentence() -> None:
    runs, _ = fused("equal")
    with pytest.raises(AudiosslError, match="which differ in whistle; fuse runs of the same labels"):
        BioacousticWindows.fuse([runs[0], runs[1]._replace(facts={"labels": LABELS[:2]})], "equal")
    long = [{**row, "windows": [[0, 1]]} for row in runs[0].test]
    with pytest.raises(AudiosslError, match="predicted whole recordings"):
        BioacousticWindows.fuse([runs[0]._replace(test=long), runs[0]._replace(test=long)], "equal")
