"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "asr",
        "audiossl.downstreams.asr.task:Asr",
        "Speech or phone recognition with CTC: characters, word pieces, words or phones.",
        "Yang et al., SUPERB, 2021, arXiv:2105.01051",
        commands={
            "align": "audiossl.downstreams.asr.cli:align",
            "decode": "audiossl.downstreams.asr.search.cli:decode",
            "lm train": "audiossl.downstreams.asr.search.cli:lm_train",
        },
        heads="audiossl.downstreams.asr.published.head:head_of",
        to_transformers="audiossl.downstreams.asr.published.writing:write_recogniser",
        toy={"head": {"projector_width": 16, "hidden": 8, "num_layers": 1}},
    ),
)
