"""The name of the executor for Ray (data only)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "ray",
        "audiossl.experiments.executors.ray.executor:Ray",
        "Tasks of a Ray cluster, or of a Ray on this machine. Needs `pip install audiossl-toolkit[ray]`.",
    ),
)
