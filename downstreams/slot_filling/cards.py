"""Names of this task (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

CARDS: tuple[Card, ...] = (
    Card(
        "slot_filling",
        "audiossl.downstreams.slot_filling.task:SlotFilling",
        "The slots of a request and their values, by CTC with a unit for each end of a slot.",
        "Lai et al., 2021, arXiv:2010.13105; Yang et al., SUPERB, 2021, arXiv:2105.01051",
        toy={"text_field": "slots", "head": {"projector_width": 16, "hidden": 8, "num_layers": 1}},
    ),
)
