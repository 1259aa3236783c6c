"""A shared pass: one walk through the batches, one run of the encoder, and the runs that there would be alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.heads import STEPS, CountingUpstream, ToyHead, assert_equal_runs, config_of, dev, log_of, noise, stream

from audiossl.core.terminal import Interrupted
from audiossl.core.types import Batch, Position
from audiossl.training.shared_pass import RememberedStates, SharedBatches, SharedHead, SharedPass
from audiossl.training.trainer import Trainer

RATES = (0.1, 0.001)
CPU = torch.device("cpu")


def heads_of(folder: Path, upstream: CountingUpstream, resume: bool = False, **settings: Any) -> list[SharedHead]:
    """One for each rate, in a folder of its own."""
    return [
        SharedHead(ToyHead(upstream, dropout=0.3), config_of(lr=rate, **settings), folder / str(rate), None, resume)
        for rate in RATES
    ]


def alone(folder: Path, rate: float, **settings: Any) -> Path:
    Trainer(ToyHead(CountingUpstream(), dropout=0.3), config_of(lr=rate, **settings), folder, stream, dev).fit()
    return folder


def run(shared: SharedPass, last: bool = False) -> None:
    while len(shared):
        shared.turn(last=last)


# --- batches


def test_readers_that_keep_step_see_the_same_batches_and_each_is_read_once() -> None:
    read: list[Position] = []

    def source(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
        for batch in stream(start, rank, world):
            assert batch.position is not None
            read.append(batch.position)
            yield batch

    shared = SharedBatches(source, CPU)
    first, second = shared.read(None, 0, 1), shared.read(None, 0, 1)
    for number in range(7):
        one, two = next(first), next(second)
        assert one is two
        assert one.position == Position(*divmod(number, 5))
    assert read == [Position(*divmod(number, 5)) for number in range(7)]


def test_a_reader_that_is_ahead_goes_on_when_the_others_have_caught_up() -> None:
    shared = SharedBatches(stream, CPU)
    behind, ahead = shared.read(Position(0, 3), 0, 1), shared.read(Position(1, 0), 0, 1)
    assert [next(behind).position for _ in range(2)] == [(0, 4), (1, 0)]
    assert next(behind) is next(ahead)


def test_a_batch_that_is_over_is_an_error() -> None:
    shared = SharedBatches(stream, CPU)
    fast, slow = shared.read(None, 0, 1), shared.read(None, 0, 1)
    for _ in range(3):
        next(fast)
    with pytest.raises(ValueError, match="The batch after None was read and is gone"):
        next(slow)
    assert next(fast).position == (0, 3)  # nobody else is disturbed


def test_a_batch_must_say_where_it_stands() -> None:
    shared = SharedBatches(lambda start, rank, world: iter([noise(0, None)]), CPU)
    with pytest.raises(ValueError, match="only if they have positions"):
        next(shared.read(None, 0, 1))


# --- hidden states


def test_an_answer_is_remembered_for_the_batch_that_is_worked_on() -> None:
    upstream = CountingUpstream()
    remembered = RememberedStates(upstream)
    batch, other = noise(0, None), noise(1, None)
    first = remembered.of_batch(batch)
    assert remembered.of_batch(batch) is first
    assert remembered.of_batch(batch.to("cpu")) is first  # there already
    one = remembered.of_batch(batch, up_to_layer=1)
    assert (len(first.layers), len(one.layers)) == (3, 2)
    assert upstream.runs == [2, 1]
    changed = remembered.of_batch(other)
    assert not torch.equal(changed.layers[-1], first.layers[-1])
    assert remembered.of_batch(batch) is not first
    assert upstream.runs == [2, 1, 2, 2]


def test_a_head_by_itself_leaves_nothing_behind_in_a_batch() -> None:
    upstream = CountingUpstream()
    head, batch = ToyHead(upstream), noise(0, None)
    before = dict(vars(batch))
    head.features(batch)
    head.features(batch)
    assert upstream.runs == [2, 2]
    assert all(value is before[name] for name, value in vars(batch).items())
    assert vars(batch).keys() == before.keys()


def test_the_encoder_runs_once_for_each_batch_and_last_layer(tmp_path: Path) -> None:
    """Two heads read all layers, two others the first two: in training and on dev."""
    upstream = CountingUpstream()
    heads = [
        *heads_of(tmp_path, upstream),
        *(
            SharedHead(ToyHead(upstream, "layer", index=1), config_of(lr=rate), tmp_path / f"layer{rate}")
            for rate in RATES
        ),
    ]
    run(SharedPass(heads, stream, dev))
    batches = STEPS + 2 * 2  # of training, and of two evaluations
    assert upstream.runs == [2, 1] * batches


def test_a_head_that_left_asks_the_encoder_itself(tmp_path: Path) -> None:
    upstream = CountingUpstream()
    heads = heads_of(tmp_path, upstream)
    shared = SharedPass(heads, stream, dev)
    assert all(head.task.encoder is not upstream for head in heads)
    run(shared)
    assert all(head.task.encoder is upstream for head in heads)


def test_heads_on_several_encoders_are_refused(tmp_path: Path) -> None:
    heads = [heads_of(tmp_path, CountingUpstream())[number] for number in range(2)]
    with pytest.raises(ValueError, match="must share one encoder"):
        SharedPass(heads, stream, dev)


# --- runs


@pytest.mark.parametrize("batches_per_step", [1, 3])
def test_heads_that_take_turns_are_separate_runs_bit_by_bit(tmp_path: Path, batches_per_step: int) -> None:
    upstream = CountingUpstream()
    shared = SharedPass(heads_of(tmp_path / "shared", upstream, batches_per_step=batches_per_step), stream, dev, seed=0)
    run(shared)
    assert shared.take_ended() == shared.trainers
    assert shared.step == STEPS
    for rate in RATES:
        single = alone(tmp_path / f"alone{rate}", rate, batches_per_step=batches_per_step)
        assert_equal_runs(single, tmp_path / "shared" / str(rate))


def test_the_seed_is_that_of_the_pass(tmp_path: Path) -> None:
    run(SharedPass(heads_of(tmp_path / "a", CountingUpstream()), stream, dev, seed=0))
    run(SharedPass(heads_of(tmp_path / "b", CountingUpstream()), stream, dev, seed=1))
    assert log_of(tmp_path / "a" / "0.1") != log_of(tmp_path / "b" / "0.1")


def test_dev_is_read_once_for_all_heads_that_are_due(tmp_path: Path) -> None:
    passes: list[None] = []

    def counted(start: Position | None, rank: int, world: int) -> Iterator[Batch]:
        passes.append(None)
        return dev(start, rank, world)

    run(SharedPass(heads_of(tmp_path, CountingUpstream()), stream, counted))
    assert len(passes) == 2
    assert [line["step"] for line in log_of(tmp_path / "0.1", "dev")] == [3, STEPS]


def test_a_stop_saves_all_heads_and_they_go_on_exactly(tmp_path: Path) -> None:
    settings = {"batches_per_step": 2}
    stopped = SharedPass(heads_of(tmp_path / "stopped", CountingUpstream(), **settings), stream, dev)
    while stopped.step < 2:
        stopped.turn()
    with pytest.raises(Interrupted, match="after step 3"):
        run(stopped, last=True)
    assert [trainer.state.step for trainer in stopped.trainers] == [3, 3]
    run(SharedPass(heads_of(tmp_path / "stopped", CountingUpstream(), resume=True, **settings), stream, dev))
    for rate in RATES:
        assert_equal_runs(alone(tmp_path / f"alone{rate}", rate, **settings), tmp_path / "stopped" / str(rate))


@pytest.mark.parametrize("kind", [None, "all"])
def test_a_head_can_be_ended_at_an_evaluation_and_go_on_elsewhere(tmp_path: Path, kind: str | None) -> None:
    """The others are as they would be without it."""
    upstream = CountingUpstream()

    def heads(resume: bool = False) -> list[SharedHead]:
        return [
            SharedHead(ToyHead(upstream), config_of(lr=rate), tmp_path / "shared" / str(rate), kind, resume)
            for rate in (*RATES, 0.01)
        ]

    shared = SharedPass(heads(), stream, dev)
    while not shared.reached(3):
        shared.turn()
    runs = len(upstream.runs)
    assert shared.reached(3)  # asking again does nothing
    assert len(upstream.runs) == runs
    assert [trainer.state.evaluated for trainer in shared.trainers] == [3, 3, 3]
    first = shared.trainers[0]
    shared.end(first)
    assert first.task.encoder is upstream  # type: ignore[attr-defined]
    run(shared)
    assert (shared.take_ended(), first.state.step) == (shared.trainers[1:], 3)
    assert shared.reached(3)  # nobody is left
    run(SharedPass(heads(resume=True)[:1], stream, dev))
    for rate in (*RATES, 0.01):
        single = tmp_path / f"alone{rate}"
        Trainer(ToyHead(CountingUpstream()), config_of(lr=rate), single, stream, dev).fit()
        if kind is None:
            assert_equal_runs(single, tmp_path / "shared" / str(rate))
        for one, two in zip(log_of(single), log_of(tmp_path / "shared" / str(rate)), strict=True):
            assert two["loss"] == pytest.approx(one["loss"], rel=1e-4)


def test_a_pass_that_waits_can_be_saved(tmp_path: Path) -> None:
    shared = SharedPass(heads_of(tmp_path / "shared", CountingUpstream()), stream, dev)
    shared.save()  # before its first step there is nothing
    assert not list(tmp_path.rglob("last.safetensors"))
    while not shared.reached(3):
        shared.turn()
    shared.save()
    run(SharedPass(heads_of(tmp_path / "shared", CountingUpstream(), resume=True), stream, dev))
    for rate in RATES:
        assert_equal_runs(alone(tmp_path / f"alone{rate}", rate), tmp_path / "shared" / str(rate))


def test_a_head_that_is_behind_catches_up(tmp_path: Path) -> None:
    """As after a kill between two checkpoints: one is at step 4, one at step 2."""
    for rate, steps in zip(RATES, (4, 2), strict=True):
        alone(tmp_path / "shared" / str(rate), rate, steps=steps, eval_every=0)
    for path in (tmp_path / "shared").glob("*/checkpoints/best.safetensors"):
        path.unlink()
    upstream = CountingUpstream()
    heads = heads_of(tmp_path / "shared", upstream, resume=True, eval_every=0)
    shared = SharedPass(heads, stream, dev)
    assert shared.step == 2
    run(shared)
    assert upstream.runs == [2] * (4 + 2)  # steps 3 to 6, and dev, though two heads read some of them
    for rate in RATES:
        single = alone(tmp_path / f"alone{rate}", rate, eval_every=0)
        assert log_of(single) == log_of(tmp_path / "shared" / str(rate))


def test_a_head_that_cannot_go_on_leaves_and_the_others_go_on(tmp_path: Path) -> None:
    heads = heads_of(tmp_path / "shared", CountingUpstream(), max_nonfinite=2)
    heads[0].task.scale = math.nan  # type: ignore[attr-defined]
    shared = SharedPass(heads, stream, dev)
    run(shared)
    ((failed, error),) = shared.take_failed()
    assert (failed, shared.take_ended()) == (shared.trainers[0], [shared.trainers[1]])
    assert "not finite in 2 steps on end, up to step 2" in str(error)
    assert shared.take_failed() == []
    assert_equal_runs(alone(tmp_path / "alone", RATES[1]), tmp_path / "shared" / str(RATES[1]))


def test_every_head_is_told_before_and_after_each_step(tmp_path: Path) -> None:
    class Told(ToyHead):
        def __init__(self, upstream: CountingUpstream) -> None:
            super().__init__(upstream)
            self.told: list[tuple[str, int]] = []

        def begin_step(self, step: int) -> None:
            super().begin_step(step)
            self.told.append(("begin", step))

        def after_step(self, step: int) -> None:
            self.told.append(("after", step))

    upstream = CountingUpstream()
    heads = [
        SharedHead(Told(upstream), config_of(lr=rate, batches_per_step=2), tmp_path / str(rate), kind="all")
        for rate in RATES
    ]
    run(SharedPass(heads, stream, dev))
    for head in heads:
        assert head.task.told == [(when, step) for step in range(STEPS) for when in ("begin", "after")]  # type: ignore
