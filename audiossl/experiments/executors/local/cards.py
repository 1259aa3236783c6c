"""Names of the executors of one machine (data only)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card("serial", "audiossl.experiments.executors.local.serial:Serial", "One after the other, in this process."),
    Card("pool", "audiossl.experiments.executors.local.pool:Pool", "Several processes on this machine."),
)
