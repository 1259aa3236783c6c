"""What the parts of a trainer share: devices, wrappers, precision and the seed of a batch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from toys.core import ToyTask

from audiossl.core.errors import ConfigError
from audiossl.training import context
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext, accelerator_of


def context_of(seed: int = 0, **settings: Any) -> TrainingContext:
    return TrainingContext(ToyTask(), TrainerConfig(**{"device": "cpu", **settings}), seed)


def draw() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002


@pytest.fixture(autouse=True)
def random_state_is_put_back() -> Any:
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    torch.set_rng_state(kept[0])
    np.random.set_state(kept[1])  # noqa: NPY002
    random.setstate(kept[2])


def test_what_a_batch_draws_follows_from_the_seed_and_its_number() -> None:
    context = context_of(seed=3)
    context.seed_batch(7)
    first = draw()
    context.seed_batch(8)
    other = draw()
    context.seed_batch(7)
    assert draw() == first
    assert all(one != two for one, two in zip(first, other, strict=True))
    context_of(seed=4).seed_batch(7)
    assert all(one != two for one, two in zip(first, draw(), strict=True))


def test_numbers_and_seeds_are_not_added() -> None:
    context_of(seed=1).seed_batch(2)
    first = draw()
    context_of(seed=2).seed_batch(1)
    assert draw() != first


@pytest.mark.parametrize("number", [0, 2**31, 2**40])
def test_any_number_is_a_seed(number: int) -> None:
    context_of(seed=2**32 - 1).seed_batch(number)
    first = draw()
    context_of(seed=2**32 - 1).seed_batch(number)
    assert draw() == first


@pytest.mark.parametrize(("batches", "fits"), [(1, False), (2, True), (3, False), (4, True)])
def test_batches_that_processes_cannot_share_are_an_error(
    monkeypatch: pytest.MonkeyPatch, batches: int, fits: bool
) -> None:
    Accelerator(cpu=True)  # all later ones share its state, which is of one process
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = TrainerConfig(batches_per_step=batches, device="cpu")
    if fits:
        assert accelerator_of(config).num_processes == 2
        return
    for make in (lambda: accelerator_of(config), lambda: TrainingContext(ToyTask(), config, 0)):
        with pytest.raises(ConfigError, match=f"batches_per_step={batches} cannot be shared by 2 .* a multiple of 2"):
            make()


@pytest.mark.parametrize(
    ("asked", "best", "on_cpu"), [("auto", "cpu", True), ("auto", "mps", False), ("cpu", "cuda", True)]
)
def test_training_follows_the_rule_for_devices(
    asked: str, best: str, on_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU accelerate is told so, or it would let processes of torchrun train apart, each for itself."""
    asked_for: list[bool] = []

    class Spy(Accelerator):
        def __init__(self, cpu: bool, **options: Any) -> None:
            asked_for.append(cpu)
            super().__init__(cpu=True, **options)

    monkeypatch.setattr(context, "best_device", lambda: torch.device(best))
    monkeypatch.setattr(context, "Accelerator", Spy)
    accelerator_of(TrainerConfig(device=asked))  # type: ignore[arg-type]
    assert asked_for == [on_cpu]


def test_processes_that_would_train_apart_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(context, "best_device", lambda: torch.device("mps"))
    with pytest.raises(ConfigError, match="^2 processes were started, which cannot train together on .* mps; start"):
        accelerator_of(TrainerConfig())


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM])
def test_other_ways_of_sharing_parameters_are_refused(kind: DistributedType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sharding(Accelerator):
        distributed_type = kind  # type: ignore[assignment]

    monkeypatch.setattr(context, "Accelerator", Sharding)
    with pytest.raises(ConfigError, match=f"^{kind.value} by accelerate's .* set trainer.sharding=full where they are"):
        accelerator_of(TrainerConfig(device="cpu"))


@pytest.mark.parametrize("skips", [False, True])
def test_the_task_says_whether_parameters_may_be_left_out(skips: bool) -> None:
    class Skipping(ToyTask):
        may_skip_parameters = skips  # type: ignore[assignment]

    handler = TrainingContext(Skipping(), TrainerConfig(device="cpu"), 0).accelerator.ddp_handler
    assert handler is not None
    assert (handler.find_unused_parameters, handler.broadcast_buffers) == (skips, False)


def test_model_and_optimizer_are_prepared_once() -> None:
    context = context_of()
    model, optimizer = context.prepare()
    assert context.prepare() == (model, optimizer)
    assert optimizer is context.optimizer  # no wrapper around it, on one CPU
    assert model is context.task and not context.is_sharded
    with context.whole():
        assert type(context.task) is ToyTask
    assert (context.rank, context.world, context.device.type, context.stopping) == (0, 1, "cpu", False)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_of_products(precision: str, dtype: torch.dtype) -> None:
    context = context_of(precision=precision)
    with context.autocast():
        assert context.task.get_submodule("linear")(torch.zeros(1, 4)).dtype == dtype
    assert context.task.get_submodule("linear")(torch.zeros(1, 4)).dtype == torch.float32
