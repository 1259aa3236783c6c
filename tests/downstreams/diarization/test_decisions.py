"""From probabilities to turns."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.data.turns import Turn
from audiossl.downstreams.diarization.decisions import FrameClock, Rule, best_rule

CLOCK = FrameClock(first_s=0.05, step_s=0.1)


def test_turns_lie_between_the_centres_of_frames() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.6], [0.1, 0.6], [0.8, 0.6]])
    turns = Rule(0.5, 0.0).turns(probabilities, CLOCK, 0.53)
    assert turns == [Turn(0.0, 0.2, "speaker_1"), Turn(0.2, 0.53, "speaker_2"), Turn(0.4, 0.53, "speaker_1")]
    assert Rule(0.95, 0.0).turns(probabilities, CLOCK, 0.53) == []


def test_the_filter_takes_the_median_of_so_many_seconds() -> None:
    probabilities = np.array([1.0, 1, 0, 1, 1, 0, 0, 1, 0, 0])[:, None]
    active = Rule(0.5, 0.3).active(probabilities, 0.1)[:, 0]
    assert active.astype(int).tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert Rule(0.5, 0.22).active(np.zeros((30, 2)), 0.02).shape == (30, 2)
    assert Rule(0.5, 0.22).turns(np.zeros((0, 2)), CLOCK, 0.0) == []


def test_frames_reach_from_the_start_to_the_end_of_the_recording() -> None:
    assert CLOCK.edges_s(3, 0.4) == pytest.approx([0.0, 0.1, 0.2, 0.4])


def test_the_first_of_the_best_rules_is_taken() -> None:
    assert best_rule(lambda rule: abs(rule.threshold - 0.4), (0.5, 0.4, 0.3), (0.2, 0.0)) == Rule(0.4, 0.2)
    assert best_rule(lambda rule: 1.0, (0.5, 0.4), (0.2, 0.0)) == Rule(0.5, 0.2)
