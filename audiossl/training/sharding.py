"""Parameters, gradients and optimizer state that processes share: each holds a part (FSDP, arXiv:2304.11277).

torch's `fully_shard` does it, in the processes that accelerate has set up. accelerate's own plugin for it needs a GPU:
on a CPU it is ignored without a word, and training is plain data parallel. Here CPUs (gloo) and GPUs take one path.
The parameters of a Transformer block are whole only while it is computed, all others only from the beginning of the
loss to the end of the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.training.task import Task


def check_sharding(task: Task, world: int) -> None:
    """Raise ConfigError where the parameters of a task cannot be shared by `world` processes."""
    if world < 2:
        raise ConfigError(
            "trainer.sharding=full shares parameters between processes, and there is only one; start several with "
            "torchrun, or set trainer.sharding=none."
        )
    name = type(task).__name__
    if not task.sharded_modules():
        raise ConfigError(
            f"trainer.sharding=full shares parameters by the Transformer blocks that are pre-trained, and {name} has "
            f"none; set trainer.sharding=none."
        )
    scalars = [key for key, parameter in task.named_parameters() if not parameter.ndim]
    if scalars:
        raise ConfigError(
            f"trainer.sharding=full cannot share parameters without a dimension, and {name} has {', '.join(scalars)}; "
            f"give them the shape (1,), or set trainer.sharding=none."
        )


def shard(task: Task, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Leave each process its part of a task and of its optimizer, in place. All of them have to call it.

    task: whole, with the weights to go on from, which are those of the first process.
    optimizer: of the whole task, with any state, which is the same in all processes.
    device: of this process, which must have room for the whole task.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    task.to(device)
    for tensor in [*task.parameters(), *task.buffers()]:
        dist.broadcast(tensor.detach(), 0)
    whole = dict(task.named_parameters())
    mesh, modules = init_device_mesh(device.type, (dist.get_world_size(),)), task.sharded_modules()
    for module in [*modules, task]:
        fully_shard(module, mesh=mesh)
    _order(task, modules)
    parts = dict(task.named_parameters())
    _hand_over(optimizer, {parameter: parts[name] for name, parameter in whole.items()})


@contextmanager
def gathered(task: Task) -> Iterator[None]:
    """Let all parameters of a sharded task be whole in each process, which may then compute on its own.

    An evaluation needs that, as processes have different numbers of batches. Nothing may be trained or moved in it.
    """
    modules = _sharded(task)
    for module in modules:
        if module is not task:  # which is whole after a forward pass anyway
            module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in modules:
            module.reshard()
            if module is not task:
                module.set_reshard_after_forward(True, recurse=False)


def _sharded(task: Task) -> list[Any]:
    from torch.distributed.fsdp import FSDPModule

    return [module for module in task.modules() if isinstance(module, FSDPModule)]


def _order(task: Any, modules: Sequence[Any]) -> None:
    """What torch leaves open: which module is the outermost, and what is gathered ahead in the backward pass.

    task: sharded.
    modules: of it, those of each encoder in the order in which they are computed.
    """
    from torch.distributed.fsdp import register_fsdp_forward_method

    # The outermost is the first module to be called. An evaluation may begin further inside, so it is called now, by a
    # method that changes nothing.
    register_fsdp_forward_method(task, "train")
    task.train(task.training)
    del task.train
    task.reshard()
    # By default it is what was computed before, evaluations included, of which processes may have different numbers.
    task.set_modules_to_backward_prefetch([task])
    for before, module in pairwise([task, *modules]):
        module.set_modules_to_backward_prefetch([before])
    for module in [task, *modules]:
        module.set_force_sum_reduction_for_comms(True)  # gloo has no mean


def _hand_over(optimizer: torch.optim.Optimizer, parts: Mapping[Tensor, Tensor]) -> None:
    """Let an optimizer go on with parts of its parameters. parts: of each parameter that it has."""
    for group in optimizer.param_groups:
        group["params"] = [parts[parameter] for parameter in group["params"]]
        group["foreach"] = True  # one by one they would be slow
    for parameter in list(optimizer.state):
        state = optimizer.state.pop(parameter)
        part = parts[parameter]
        optimizer.state[part] = {name: _part_of(value, part) for name, value in state.items()}


def _part_of(value: Any, like: Any) -> Any:
    """This process's part of a tensor of an optimizer's state, as that of its parameter. A count stays whole."""
    from torch.distributed.tensor import distribute_tensor

    if not isinstance(value, Tensor) or not value.ndim:
        return value
    part = distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)
    return part.clone()  # its memory is else that of the whole
