"""What several processes run where parameters are shared: `torchrun ... --module toys.sharded FOLDER`.

For each recipe NAME.yaml of the folder, FOLDER/NAME is trained for three steps, copied to FOLDER/NAME_half, and gone on
with. FOLDER/NAME/shares.RANK.json has how many numbers of the model and its optimizer a process holds, and of how many.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from audiossl.core.processes import is_main, rank
from audiossl.experiments.config import read_experiment
from audiossl.experiments.training import pretrain
from audiossl.training.checkpoints import Checkpoints, TrainingState
from audiossl.training.task import Task

save = Checkpoints.save


def save_and_count(self: Checkpoints, task: Task, optimizer: Any, state: TrainingState) -> None:
    """As `Checkpoints.save`, and writes down what this process holds of that."""
    states = [value for one in optimizer.state.values() for value in one.values() if value.ndim]
    tensors: list[Any] = [*task.parameters(), *states]
    own = sum(getattr(tensor, "_local_tensor", tensor).numel() for tensor in tensors)
    sizes = {"own": own, "whole": sum(tensor.numel() for tensor in tensors)}
    (self.run / f"shares.{rank()}.json").write_text(json.dumps(sizes), encoding="utf-8")
    save(self, task, optimizer, state)


def main(folder: Path) -> None:
    Checkpoints.save = save_and_count  # type: ignore[method-assign]
    for recipe in sorted(folder.glob("*.yaml")):
        out = folder / recipe.stem
        pretrain(read_experiment(recipe, ["trainer.steps=3"], pretrain=True), out)
        if is_main():
            shutil.copytree(out, folder / f"{recipe.stem}_half")
        dist.barrier()
        pretrain(read_experiment(recipe, pretrain=True), out, resume=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
