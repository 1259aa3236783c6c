"""The table of the best encoder for each target."""

from __future__ import annotations

import numpy as np

from audiossl.metrics.jackknife import Estimate
from benchmarks.symptoms import TARGETS, Sessions, best_encoders


def scored(value: float, spread: float, seed: int) -> Sessions:
    """Each target with one figure, and what 60 subjects move it by."""
    moves = spread * np.random.default_rng(seed).standard_normal(60)
    return Sessions(dict.fromkeys(TARGETS, Estimate(value, value + moves - moves.mean())), {})


def test_the_best_is_first_and_who_is_near_is_named() -> None:
    found = {"far": scored(0.3, 1e-4, 0), "best": scored(0.9, 1e-4, 1), "near": scored(0.8999, 1e-4, 2)}
    rows = best_encoders(found)
    assert [row[0] for row in rows] == list(TARGETS)
    assert rows[0][1:3] == ["`best` 0.90", "`near` 0.90"]
    assert rows[0][3].startswith("+0.000 [-")
    assert rows[0][4] == "`near`"


def test_all_and_none_have_words() -> None:
    apart = {"first": scored(0.9, 1e-4, 0), "second": scored(0.5, 1e-4, 1)}
    assert best_encoders(apart)[0][4] == "none"
    alike = {"first": scored(0.9, 0.1, 0), "second": scored(0.89, 0.1, 1)}
    assert best_encoders(alike)[0][4] == "all"
