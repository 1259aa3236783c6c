"""Names of these tasks (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "bioacoustics",
        "audiossl.downstreams.bioacoustics.task:Bioacoustics",
        "One label for a call: species, type of call, individual.",
        "Sarkar and Magimai-Doss, 2023, arXiv:2305.14035",
    ),
    Card(
        "bioacoustic_windows",
        "audiossl.downstreams.bioacoustics.windows:BioacousticWindows",
        "All labels that are heard in a window of a long recording; writes annotation tables.",
        "Hagiwara et al., BEANS, 2022, arXiv:2210.12300",
        commands={"annotate": "audiossl.downstreams.bioacoustics.cli:annotate"},
    ),
)
