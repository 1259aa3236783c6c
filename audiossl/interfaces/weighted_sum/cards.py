"""Names of these interfaces (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "weighted_sum",
        "audiossl.interfaces.weighted_sum.interface:WeightedSum",
        "A learnt weighted mean of all layers.",
        "Yang et al., SUPERB, 2021, arXiv:2105.01051",
    ),
    Card(
        "grouped_weighted_sum",
        "audiossl.interfaces.weighted_sum.interface:GroupedWeightedSum",
        "One weighted mean for each group of neighbouring layers, concatenated and projected.",
        "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209",
    ),
    Card(
        "parallel_sums",
        "audiossl.interfaces.weighted_sum.interface:ParallelSums",
        "Several learnt weighted means of all layers side by side: keys and values of MHFA, by default.",
        "Peng et al., An attention-based backend (MHFA), 2022, arXiv:2210.01273",
    ),
)
