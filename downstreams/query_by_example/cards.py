"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "query_by_example",
        "audiossl.downstreams.query_by_example.task:QueryByExample",
        "Which documents a spoken query is said in, without training: DTW on the layer that dev chooses.",
        "Anguera et al., Query by Example Search on Speech, MediaEval 2014; SUPERB, 2021, arXiv:2105.01051",
    ),
)
