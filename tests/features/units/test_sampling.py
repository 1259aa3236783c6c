"""Which frames are drawn depends on nothing but seed, recording and place."""

from __future__ import annotations

import torch

from audiossl.features.units.sampling import DistinctFrames, FrameSample, capacity_of


def recordings() -> dict[str, torch.Tensor]:
    return {str(n): 100 * n + torch.arange(10.0 + n)[:, None].expand(-1, 3) for n in range(30)}


def drawn(capacity: int, names: list[str], seed: int = 0) -> torch.Tensor:
    sample = FrameSample(capacity, 3, seed)
    for name in names:
        sample.add(name, recordings()[name])
    assert sample.num_seen == sum(map(len, recordings().values()))
    return sample.drawn()


def test_the_order_of_recordings_does_not_matter_and_the_seed_does() -> None:
    names = list(recordings())
    found = drawn(40, names)
    assert found.shape == (40, 3)
    assert torch.equal(found, drawn(40, names[::-1]))
    assert not torch.equal(found, drawn(40, names, seed=1))
    every = torch.cat(list(recordings().values()))
    assert len(found.unique(dim=0)) == 40
    assert {float(x) for x in found[:, 0]} <= {float(x) for x in every[:, 0]}


def test_all_frames_are_kept_where_there_is_room() -> None:
    found = drawn(10_000, list(recordings()))
    every = torch.cat(list(recordings().values()))
    assert torch.equal(found[:, 0].sort()[0], every[:, 0].sort()[0])
    assert not torch.equal(found, every)


def test_every_frame_has_the_same_chance() -> None:
    firsts = [float(drawn(200, list(recordings()), seed=seed)[:, 0].mean()) for seed in range(12)]
    every = torch.cat(list(recordings().values()))[:, 0]
    assert abs(sum(firsts) / 12 - float(every.mean())) < 0.03 * float(every.mean())


def test_the_room_is_that_of_sample_and_copy() -> None:
    assert capacity_of(1.0, 250) * 4 * 250 * 2.25 <= 1e9
    assert capacity_of(1e-9, 768) == 1


def test_of_few_different_frames_each_is_found_once() -> None:
    codes = torch.randn(5, 3)
    there, back = DistinctFrames(), DistinctFrames()
    rows = {"a": codes[[0, 1, 1, 4]], "b": codes[[3, 3, 0]]}
    for name, states in rows.items():
        there.add(name, states)
    for name in ("b", "a"):
        back.add(name, rows[name])
    assert there.num_seen == 7
    assert torch.equal(there.drawn(), back.drawn())
    assert {tuple(row) for row in there.drawn().tolist()} == {tuple(row) for row in codes[[0, 1, 3, 4]].tolist()}
