"""The name of the executor for Slurm (data only)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "slurm",
        "audiossl.experiments.executors.slurm.executor:Slurm",
        "Job arrays of a Slurm cluster, through submitit. Needs `pip install audiossl-toolkit[slurm]`.",
    ),
)
