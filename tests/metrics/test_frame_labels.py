"""Whether labels of frames at other steps are of one labelling."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest

from audiossl.metrics.frame_labels import same_targets


def target(step_s: float, first_s: float = 0.0125, *, seed: int = 0, shift_s: float = 0.0) -> dict[str, Any]:
    """Frames of ten seconds in which somebody says about twelve of five phones a second."""
    rng = np.random.default_rng(seed)
    ends_s = np.cumsum(rng.uniform(0.03, 0.14, 200)) + shift_s
    phones = rng.choice(list("abcde"), 201)
    centres_s = np.arange(first_s, 10, step_s)
    labels = [str(phones[place]) for place in np.searchsorted(ends_s, centres_s)]
    runs = [[len(list(run)), label] for label, run in groupby(labels)]
    return {"target": runs, "first_s": first_s, "step_s": step_s}


@pytest.mark.parametrize("step_s", [0.02, 0.04, 0.0575])
def test_other_steps_have_one_labelling(step_s: float) -> None:
    fine, coarse = target(0.01), target(step_s, 0.03)
    assert same_targets([fine, coarse, fine]) and same_targets([coarse, fine])


def test_another_labelling_is_another() -> None:
    assert not same_targets([target(0.01), target(0.02, seed=1)])
    assert not same_targets([target(0.01), target(0.02, shift_s=0.05)])
    assert not same_targets([target(0.01), target(0.02), target(0.02, seed=1)])


def test_what_is_no_labelling_of_frames_must_be_equal() -> None:
    words = {"target": "one", "step_s": 0.02, "first_s": 0.0}
    assert same_targets([words, {**words, "step_s": 0.01}])
    assert not same_targets([words, {**words, "target": "two"}])
    assert not same_targets([target(0.01), words])
    assert not same_targets([target(0.01), {**target(0.02), "target": []}])
