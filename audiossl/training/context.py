"""What the parts of a trainer share: the task, its optimizer, the devices and the seed."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedDataParallelKwargs, DistributedType

from audiossl.core.errors import ConfigError
from audiossl.core.processes import world_size
from audiossl.encoders.devices import best_device
from audiossl.training.config import TrainerConfig
from audiossl.training.optimizer import build_optimizer
from audiossl.training.sharding import check_sharding, gathered, shard
from audiossl.training.task import Task
from audiossl.training.trackers import check_trackers

# Ways of sharing parameters that are not `trainer.sharding`, under which checkpoints would hold parts of them.
_SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


def accelerator_of(config: TrainerConfig, *, may_skip_parameters: bool = False) -> Accelerator:
    """The devices and processes that training with `config` uses. All accelerators of a process share one state.

    Raises ConfigError where the processes cannot share the batches of a step, or cannot train together at all, and for
    trackers that are not there.
    """
    check_trackers(config.trackers)
    where = torch.device("cpu") if config.device == "cpu" else best_device()
    # Buffers are functions of weights or of the input (a table of positions grows with it), never to be averaged.
    parallel = DistributedDataParallelKwargs(broadcast_buffers=False, find_unused_parameters=may_skip_parameters)
    accelerator = Accelerator(cpu=where.type == "cpu", kwargs_handlers=[parallel])
    if accelerator.distributed_type in _SHARDED:
        raise ConfigError(
            f"{accelerator.distributed_type.value} by accelerate's configuration is not supported; take it out, start "
            f"the processes with torchrun, and set trainer.sharding=full where they are to share parameters."
        )
    world = accelerator.num_processes
    if world != world_size():
        raise ConfigError(
            f"{world_size()} processes were started, which cannot train together on this machine's {where.type}; start "
            "one, or set trainer.device=cpu."
        )
    if config.batches_per_step % world:
        raise ConfigError(
            f"trainer.batches_per_step={config.batches_per_step} cannot be shared by {world} processes; "
            f"make it a multiple of {world}."
        )
    return accelerator


class TrainingContext:
    """The task that is trained, with what a step and an evaluation need beside batches.

    world, rank: how many processes there are, and which of them this is.
    device: where it computes.
    stopping: somebody asked that the step in progress be the last.
    """

    def __init__(self, task: Task, config: TrainerConfig, seed: int) -> None:
        self.task, self.config, self.seed = task, config, seed
        self.accelerator = accelerator_of(config, may_skip_parameters=task.may_skip_parameters)
        self.world: int = self.accelerator.num_processes
        self.rank: int = self.accelerator.process_index
        self.device: torch.device = self.accelerator.device
        if self.is_sharded:
            check_sharding(task, self.world)
        self.optimizer = build_optimizer(task, config)
        self.stopping = False
        self._prepared: tuple[Any, Any] | None = None

    @property
    def is_sharded(self) -> bool:
        """Whether processes share the parameters."""
        return self.config.sharding == "full"

    def prepare(self) -> tuple[Any, Any]:
        """Model and optimizer, on the device, as accelerate wraps them or sharded."""
        if self._prepared is None and self.is_sharded:
            shard(self.task, self.optimizer, self.device)
            self._prepared = self.task, self.optimizer
        if self._prepared is None:
            model, optimizer = self.accelerator.prepare(self.task, self.optimizer)
            plain = type(optimizer) is AcceleratedOptimizer and optimizer.scaler is None
            if plain and self.device.type in ("cpu", "cuda"):
                optimizer = self.optimizer  # the wrapper would only look for other packages in every step
            self._prepared = model, optimizer
        return self._prepared

    def whole(self) -> AbstractContextManager[None]:
        """All parameters are whole in each process, as an evaluation needs."""
        return gathered(self.task) if self.is_sharded else nullcontext()

    def autocast(self) -> Any:
        """The precision in which the task runs, as a context."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def seed_batch(self, number: int) -> None:
        """Let everything random from now on follow from the seed and the running number of a batch."""
        value = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]
        if self.device.type == "cpu":  # torch.manual_seed keeps a stack trace for each device to come
            torch.default_generator.manual_seed(int(value) >> 1)
        else:
            torch.manual_seed(int(value) >> 1)
        np.random.seed(int(value) & 0xFFFFFFFF)  # noqa: NPY002  for libraries that draw from the global state
        random.seed(int(value))
