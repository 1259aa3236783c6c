"""Cards of the wav2vec 2.0 family (data only: no torch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audiossl.core.cards import UpstreamCard

# A tiny encoder of the wav2vec 2.0 family, for `UpstreamCard.toy`.
WAVEFORM_TOY: Mapping[str, Any] = {
    "conv_widths": (16,) * 7,
    "width": 16,
    "num_layers": 2,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 2,
}

_TRAINED_ON = {
    "none": "Trained on waveforms as they are.",
    "layer_norm": "Trained on normalised waveforms.",
    "": "Whether training normalised the waveforms: as the file says, else by the style of its stem.",
}

_PREPROCESSOR = {
    True: "Hugging Face's preprocessor normalises them (normalize='huggingface').",
    False: "Hugging Face's preprocessor leaves them as they are, too.",
    None: "normalize='huggingface' does what the repository's preprocessor says.",
}


@dataclass(frozen=True)
class Shape:
    """What published encoders of one size share.

    num_parameters: how many the options make.
    normalize: of the waveform in training: 'none', 'layer_norm', or '' where it is not known.
    options: of the configuration.
    """

    num_parameters: int
    normalize: str
    options: Mapping[str, Any]


def published_waveform_card(
    name: str,
    summary: str,
    weights: str,
    shape: Shape,
    *,
    target: str,
    also: str = "",
    preprocessor: bool | None = None,
    notes: str = "",
    **facts: Any,
) -> UpstreamCard:
    """The card of published weights of the wav2vec 2.0 family.

    name: what users type.
    summary: one line of `audiossl list`.
    weights: where they lie.
    shape: what they share with others of their size.
    target: 'module:attribute' of the encoder's class.
    also: where else the weights lie.
    preprocessor: whether the one beside them on Hugging Face normalises, None where nobody has seen it.
    notes: what else is to be known.
    facts: further fields of the card.
    """
    # Normalisation comes first in the notes: getting it wrong costs most.
    sentences = [
        _TRAINED_ON[shape.normalize],
        _PREPROCESSOR[preprocessor] if weights.startswith("hf:") else "",
        f"Also {also}" if also else "",
        notes,
    ]
    return UpstreamCard(
        name,
        target,
        summary,
        weights=weights,
        options={**shape.options, **({"normalize": shape.normalize} if shape.normalize else {})},
        num_parameters=shape.num_parameters,
        notes=" ".join(filter(None, sentences)),
        **facts,
    )
