"""A teacher's states at the student's frames, and their statistics."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import TrainingError
from audiossl.objectives.distil.targets import TargetMoments, TargetNorm, at_places, counted_frames, frame_places
from audiossl.objectives.distil.teacher import TeacherStates


def states(frames: list[int], first: list[float]) -> TeacherStates:
    layer = torch.arange(max(frames))[None, :, None].expand(len(frames), -1, 2).float()
    return TeacherStates({0: layer}, torch.tensor(frames), torch.tensor(first))


def test_frames_of_a_crop_are_those_of_the_recording_at_its_place() -> None:
    given = states([10, 6], [3.4, 0.0])
    places, valid = frame_places(given, 1.0, 8)
    assert at_places(given.layers[0], places, 1.0)[0, :7, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert valid.sum(1).tolist() == [7, 6]
    counted = counted_frames(torch.tensor([5, 8]), 8, valid)
    assert counted.sum(1).tolist() == [5, 6]


def test_another_frame_rate_is_met_between_frames() -> None:
    given = states([10, 6], [1.0, 0.0])
    places, valid = frame_places(given, 0.5, 12)
    made = at_places(given.layers[0], places, 0.5)[..., 0]
    assert made[0].tolist() == [1 + t / 2 for t in range(12)]
    assert made[1].tolist() == [min(t / 2, 5) for t in range(12)]
    assert valid.sum(1).tolist() == [12, 12]
    places, valid = frame_places(given, 2.0, 4)
    assert at_places(given.layers[0], places, 2.0)[1, :3, 0].tolist() == [0, 2, 4]
    assert valid[1].tolist() == [True, True, True, False]


def test_statistics_are_those_of_all_frames_with_the_mean_of_each_place_taken_away() -> None:
    draw = torch.Generator().manual_seed(0)
    norm = TargetNorm(3, 4)
    moments = TargetMoments(norm)
    with pytest.raises(TrainingError, match="no frames"):
        moments.finish()
    x = torch.randn(4000, 6, 3, generator=draw) * torch.tensor([1.0, 2.0, 3.0]) + torch.arange(6)[None, :, None]
    places = torch.arange(6.0).expand(4000, 6)
    valid = torch.rand(4000, 6, generator=draw) < 0.7
    with pytest.raises(TrainingError, match="have not been fitted"):
        norm(x, places)
    for part in range(4):
        chosen = slice(part * 1000, part * 1000 + 1000)
        moments.add(x[chosen], places[chosen], valid[chosen])
    moments.finish()
    made = norm(x, places)[valid]
    torch.testing.assert_close(made.mean(0), torch.zeros(3), rtol=0, atol=0.01)
    torch.testing.assert_close(made.std(0), torch.ones(3), rtol=0, atol=0.01)
    # Places 0 to 3 have means of their own, 4 and 5 one together.
    assert float(norm(x, places)[:, 2][valid[:, 2]].mean().abs()) < 0.02
    assert float(norm(x, places)[:, 5][valid[:, 5]].mean()) > 0.1


def test_a_teacher_that_says_nothing_is_refused() -> None:
    moments = TargetMoments(TargetNorm(2, 0))
    moments.add(torch.ones(1, 5, 2), torch.zeros(1, 5), torch.ones(1, 5, dtype=torch.bool))
    with pytest.raises(TrainingError, match="the same states for all frames"):
        moments.finish()
