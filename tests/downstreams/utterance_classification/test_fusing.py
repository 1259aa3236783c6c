"""Late fusion: a mean of probabilities, weights from dev, and what cannot be fused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.emotion.task import Emotion
from audiossl.downstreams.utterance_classification.fusing import fuse_labels, mixture_weights
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.metrics.probabilities import log_probabilities
from audiossl.training.fusion import Fused, RunToFuse

LABELS = ["a", "b", "c"]


def rows(seed: int, strength: float, num: int = 90, temperature: float | None = None) -> list[dict[str, Any]]:
    """Items whose logits tell the label, more or less."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(num):
        logits = rng.standard_normal(3) + strength * (np.arange(3) == number % 3)
        scores = np.exp(log_probabilities(logits, temperature or 1.0)).round(6).tolist()
        best = int(logits.argmax())
        made.append(
            {
                "id": f"{number:03}",
                "target": LABELS[number % 3],
                "predicted": LABELS[best],
                "probability": scores[best],
                "scores": scores,
                "logits": logits.tolist(),
                "temperature": temperature,
                "calibrated": temperature is not None,
                "speaker": f"s{number % 7}",
            }
        )
    return made


def run(seed: int, strength: float, monitor: str = "accuracy", **options: Any) -> RunToFuse:
    facts = {"labels": LABELS, "monitor": monitor, "metrics": {monitor: {"value": 0.5, "cluster": "speaker"}}}
    return RunToFuse(rows(100 + seed, strength, **options), rows(seed, strength, **options), facts)


def fused(*runs: RunToFuse, weights: Any = "equal") -> Fused:
    return UtteranceClassification.fuse(runs, weights)


def test_equal_weights_are_the_mean_of_the_stored_probabilities() -> None:
    first, second = run(0, 1.5), run(1, 1.5)
    made = fused(first, second)
    for row, one, other in zip(made.predictions, first.test, second.test, strict=True):
        mean = (np.array(one["scores"]) + other["scores"]) / 2
        assert row["scores"] == pytest.approx(mean, abs=1e-6)
        assert row["predicted"] == LABELS[int(mean.argmax())]
        assert row["probability"] == max(row["scores"])
    assert made.compared == "accuracy"
    assert all(gap.value > 0 and gap.low is not None and gap.num_clusters == 7 for gap in made.differences)


@pytest.mark.parametrize("weights", ["equal", "dev"])
@pytest.mark.parametrize("temperature", [None, 1.7])
def test_a_run_with_itself_is_itself(weights: Any, temperature: float | None) -> None:
    one = run(0, 1.0, temperature=temperature)
    made = fused(one, one, weights=weights)
    for row, own in zip(made.predictions, one.test, strict=True):
        assert {key: row[key] for key in ("id", "target", "predicted", "scores", "probability", "speaker")} == {
            key: own[key] for key in ("id", "target", "predicted", "scores", "probability", "speaker")
        }
    assert [gap.value for gap in made.differences] == [0, 0]
    assert made.facts["weights"] == pytest.approx([0.5, 0.5])


def test_what_runs_choose_by_has_the_weights_of_classes() -> None:
    """A calibrated run with classes that weigh unlike in the loss says 'a', of which 'b' is likelier."""
    one = run(0, 1.0, temperature=1.0)
    for row in one.test:
        row["logits"], row["scores"] = [1.0, 0.5, 0.0], [0.3, 0.5, 0.2]
        row["predicted"] = "a"
    assert {row["predicted"] for row in fused(one, one).predictions} == {"a"}


def test_weights_from_dev_are_those_that_make_it_likeliest() -> None:
    good, bad = run(0, 3.0), run(1, 0.0)
    made = fused(good, bad, weights="dev")
    weights = made.facts["weights"]
    assert sum(weights) == pytest.approx(1) and weights[0] > 0.85
    # By a search over all weights.
    likelihoods = np.array([[row["scores"][LABELS.index(row["target"])] for row in each.dev] for each in (good, bad)])
    grid = np.linspace(0, 1, 2001)
    best = grid[np.argmax([np.log(w * likelihoods[0] + (1 - w) * likelihoods[1]).sum() for w in grid])]
    assert mixture_weights(likelihoods)[0] == pytest.approx(best, abs=2e-3)


def test_emotion_has_its_own_names_for_the_figures() -> None:
    made = Emotion.fuse([run(0, 1.0, "wa"), run(1, 1.0, "wa")], "equal")
    assert (list(made.metrics), made.compared) == (["ua", "wa", "f1"], "wa")
    alone = fuse_labels([run(0, 1.0), run(1, 1.0)], "equal", UtteranceClassification.metric_names, "speaker")
    assert made.metrics["wa"].value == alone.metrics["accuracy"].value
    assert made.differences[0].value == alone.differences[0].value


def test_what_cannot_be_fused_is_said() -> None:
    one, other = run(0, 1.0), run(1, 1.0)
    with pytest.raises(AudiosslError, match="3 labels apart and run 2 3, which differ in c, d; fuse runs of the same"):
        fused(one, other._replace(facts={**other.facts, "labels": ["a", "b", "d"]}))
    with pytest.raises(AudiosslError, match="which differ in c, b, a"):  # another order
        fused(one, other._replace(facts={**other.facts, "labels": ["c", "b", "a"]}))
    with pytest.raises(AudiosslError, match="90 items and run 2 89"):
        fused(one, other._replace(test=other.test[:-1]))
    with pytest.raises(AudiosslError, match="Nothing of dev has a target"):
        fused(one._replace(dev=[]), other._replace(dev=[]), weights="dev")
