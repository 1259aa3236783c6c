"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "bioacoustic_events",
        "audiossl.downstreams.bioacoustic_events.task:BioacousticEvents",
        "When each call begins and ends in recordings of any length, and what it is; from strong or weak labels.",
        "Mesaros, Heittola and Virtanen, Metrics for polyphonic sound event detection, 2016, doi:10.3390/app6060162; "
        "Wang, Li and Metze, 2019, arXiv:1810.09050",
        toy={"supervision": "weak", "hidden": 8, "num_layers": 1, "threshold": 0.5},
        commands={"detect": "audiossl.downstreams.bioacoustic_events.cli:detect"},
    ),
)
