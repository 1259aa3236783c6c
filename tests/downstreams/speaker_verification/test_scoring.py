"""Scorers: by hand on twenty trials, in a run without retraining, and what is wrong with a cohort."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiossl.core.config import structured
from audiossl.core.errors import AudioError, ConfigError, LabelError
from audiossl.downstreams.speaker_verification.scoring import Row, Scorer, fit_scorer
from audiossl.downstreams.speaker_verification.scoring_config import ScoringConfig
from audiossl.downstreams.speaker_verification.trials import Pairs
from audiossl.experiments.loading import load_run

WIDTH = 5


def rows(prefix: str, num_speakers: int, takes: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((num_speakers, WIDTH))
    return [
        {
            "id": f"{prefix}{speaker}-{take}",
            "speaker": f"{prefix}{speaker}",
            "duration_s": float(rng.uniform(1, 9)),
            "embedding": (own[speaker] + 0.6 * rng.standard_normal(WIDTH)).tolist(),
        }
        for speaker in range(num_speakers)
        for take in range(takes)
    ]


SPLITS = {"train": rows("a", 12, 4, 0), "dev": rows("b", 6, 4, 1), "test": rows("c", 5, 4, 2)}


def pairs_of(items: Sequence[Row], num: int | None = None) -> Pairs:
    """All pairs, or the first few. The first item of each is enrolled, alone or (in every third pair) with the next."""
    first, second = np.triu_indices(len(items), k=1)
    last = len(items) - 1
    models = [[place, place + 1] if place % 3 == 0 and place < last else [place] for place in range(len(items))]
    target = np.array([items[a]["speaker"] == items[b]["speaker"] for a, b in zip(first, second, strict=True)])
    part = slice(None, None, max(1, len(first) // num) if num else None)
    return Pairs([row["id"] for row in items], models, first[part][:num], second[part][:num], target[part][:num])


def fitted(**options: Any) -> Scorer:
    return fit_scorer(structured(ScoringConfig, options), lambda name, parts_s=None: SPLITS[name], pairs_of)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_as_norm_and_quality_measures_of_twenty_trials_by_hand() -> None:
    scorer = fitted(norm="as_norm", top_k=5, measures=["duration", "magnitude", "cohort"])
    test, pairs = SPLITS["test"], pairs_of(SPLITS["test"], 20)
    assert len(pairs.test) == 20
    vectors = {row["id"]: np.array(row["embedding"]) for items in SPLITS.values() for row in items}
    cohort = [unit(sum(unit(vectors[f"a{n}-{take}"]) for take in range(4))) for n in range(12)]

    def best(side: np.ndarray) -> tuple[float, float]:
        found = sorted((float(side @ member) for member in cohort), reverse=True)[:5]
        mean = sum(found) / 5
        return mean, (sum((each - mean) ** 2 for each in found) / 5) ** 0.5

    assert scorer.calibration is not None
    expected = []
    for enrol, place in zip(pairs.enrol, pairs.test, strict=True):
        members = [test[member] for member in pairs.models[enrol]]
        left = unit(sum(unit(vectors[row["id"]]) for row in members))
        right = unit(vectors[test[place]["id"]])
        (m, d), (n, e) = best(left), best(right)
        lengths = np.log(sum(row["duration_s"] for row in members)), np.log(test[place]["duration_s"])
        size = {name: float(np.linalg.norm(vector)) for name, vector in vectors.items()}
        sizes = np.mean([size[row["id"]] for row in members]), size[test[place]["id"]]
        score = ((left @ right - m) / d + (left @ right - n) / e) / 2
        figures = [score, *sorted(lengths), *sorted(sizes), *sorted([m, n])]
        weights = scorer.calibration.weights
        expected.append(sum(a * b for a, b in zip(weights, figures, strict=True)) + scorer.calibration.offset)
    judged = scorer.judge(pairs, test)
    np.testing.assert_allclose(judged.scores, expected, rtol=1e-8)
    assert judged.llrs is not None
    np.testing.assert_array_equal(judged.scores, judged.llrs)
    assert scorer.line == (1.0, 0.0)


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "plda"},
        {"backend": "plda", "lda": 3, "norm": "s_norm", "parts_s": 3.0},
        {"lda": 4, "wccn": True},
        {"wccn": True},
    ],
    ids=str,
)
def test_back_ends_are_fitted_on_train_and_dev_alone_and_tell_speakers_apart(options: dict[str, Any]) -> None:
    asked: list[tuple[str, float | None]] = []

    def rows_of(name: str, parts_s: float | None = None) -> list[dict[str, Any]]:
        asked.append((name, parts_s))
        return SPLITS[name]

    scorer = fit_scorer(structured(ScoringConfig, options), rows_of, pairs_of)
    cohort = [("train", None)] if "norm" in options else []
    assert set(asked) == {("dev", None), ("train", options.get("parts_s")), *cohort}
    pairs = pairs_of(SPLITS["test"])
    judged = scorer.judge(pairs, SPLITS["test"])
    assert judged.scores[pairs.target].mean() > judged.scores[~pairs.target].mean() + 0.1
    told = json.loads(json.dumps(scorer.facts()))
    assert told["backend"] == options.get("backend", "cosine")
    assert told["cohort_size"] == (12 if "norm" in options else None)


def test_the_plain_scorer_is_the_cosine_and_a_small_cohort_is_said(caplog: pytest.LogCaptureFixture) -> None:
    test = SPLITS["test"]
    pairs = pairs_of(test)
    plain = fitted()
    first, second = (unit(np.array(test[place]["embedding"])) for place in (1, 2))
    place = int(np.flatnonzero((pairs.enrol == 1) & (pairs.test == 2))[0])
    assert plain.judge(pairs, test).scores[place] == pytest.approx(first @ second)
    assert fitted(norm="as_norm").facts()["top_k"] == 12
    assert "12 members, fewer than task.scoring.top_k=300; all of them are taken" in caplog.text


def test_what_cannot_be_scored_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    scorer = fitted(norm="as_norm", top_k=5)
    with pytest.raises(LabelError, match=r"1 speaker\(s\) of the cohort are also in test, the first is 'a3'.*cohort"):
        scorer.check_cohort(["a3", "c1", None], "test")
    overlapping = {**SPLITS, "dev": SPLITS["dev"] + SPLITS["train"][:8]}
    config = structured(ScoringConfig, {"norm": "s_norm"})
    fit_scorer(config, lambda name, _=None: overlapping[name], pairs_of)
    assert "the cohort are also in dev" in caplog.text
    one = {**SPLITS, "train": SPLITS["train"][:4]}
    with pytest.raises(ConfigError, match="take at least two"):
        fit_scorer(config, lambda name, _=None: one[name], pairs_of)
    with pytest.raises(LabelError, match="only 'a0'"):
        fit_scorer(structured(ScoringConfig, {"backend": "plda"}), lambda name, _=None: one[name], pairs_of)
    with pytest.raises(ConfigError, match=r"lda=9 is more than the 5 dimensions"):
        fitted(lda=9)
    silent = [{**SPLITS["test"][0], "embedding": [0.0] * WIDTH}, *SPLITS["test"][1:]]
    with pytest.raises(AudioError, match="'c0-0' has an embedding that is zero"):
        scorer.judge(pairs_of(silent), silent)


def test_a_run_is_scored_by_another_back_end_without_training(run: Path) -> None:
    normed = load_run(run, overrides=["task.scoring.norm=as_norm", "task.scoring.score_file=kaldi"])
    found = normed.evaluate("test")
    told = json.loads((run / "test" / "metrics.json").read_text())
    assert told["scoring"]["norm"] == "as_norm"
    assert told["scoring"]["cohort_size"] == 6
    assert found["eer"].value <= 0.5
    lines = (run / "test" / "scores.txt").read_text().splitlines()
    assert len(lines) == 120


def test_measures_that_give_the_answer_away_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Each two recordings of a dev speaker are equally long, as halves are."""
    halves = [{**row, "duration_s": 1.0 + place // 2} for place, row in enumerate(rows("b", 8, 2, 1))]
    splits, config = {**SPLITS, "dev": halves}, structured(ScoringConfig, {"measures": ["duration"]})

    def of_single_recordings(items: Sequence[Row]) -> Pairs:
        return pairs_of(items)._replace(models=[[place] for place in range(len(items))])

    fit_scorer(config, lambda name, _=None: splits[name], of_single_recordings)
    assert "duration of both sides tell trials of dev apart without any score (EER" in caplog.text
    caplog.clear()
    fit_scorer(config, lambda name, _=None: SPLITS[name], pairs_of)
    assert "without any score" not in caplog.text
