"""Checkpoints of the wav2vec 2.0 family in every form in which they are published, read and written.

All forms are brought to fairseq's names first (`names`). What the encoder is called follows from `recognition`, its
configuration from `description`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import load_strict
from audiossl.encoders.building import build_upstream, require_shapes
from audiossl.encoders.formats.converter import Converter
from audiossl.encoders.formats.original import Original, require_merged
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.description import configuration_of
from audiossl.encoders.waveform.names import (
    encoder_of,
    fairseq_to_hf,
    fairseq_to_ours,
    hf_to_fairseq,
    ours_to_fairseq,
    torchaudio_to_fairseq,
)
from audiossl.encoders.waveform.recognition import FAMILIES, family_of


def load(family: str, original: Original, options: Mapping[str, Any], random_init: bool = False) -> Upstream:
    """An encoder from its checkpoint, strictly. Raises CheckpointError.

    family: what `family_of` says of the checkpoint.
    original: the checkpoint, whose heads are left behind.
    options: fields of the configuration to change.
    random_init: draw the parameters afresh.
    """
    state = fairseq_state(original)
    described = configuration_of(original, state, options)
    ours = fairseq_to_ours(state)
    what = f"the {family} encoder ({described['num_layers']} blocks of {described['width']}) that it describes"
    if not random_init:
        _require_finite(original, state)
        require_shapes(family, described, ours, what)
    encoder = build_upstream(family, described, seed=0)
    if not random_init:
        load_strict(encoder, ours, expected=encoder.state_dict(), what=what)
    return encoder


CONVERTER = Converter(FAMILIES, family_of, load)


def fairseq_state(original: Original) -> dict[str, Tensor]:
    """The encoder's tensors under fairseq's names, without heads. Raises CheckpointError for adapters of peft."""
    require_merged(original.path, original.state)
    state = encoder_of(original.state)
    if original.kind == "torchaudio":
        return {**torchaudio_to_fairseq(state), **_mask_beside(original.state)}
    if any(name.startswith("feature_projection.") for name in state):
        return hf_to_fairseq(state)
    return {name: _single_adapter(name, value) for name, value in state.items()}


def to_original(state: Mapping[str, Tensor], conv_norm: str, toolkit: str = "fairseq") -> dict[str, Tensor]:
    """Our tensors under the names of 'fairseq' or 'huggingface'."""
    theirs = ours_to_fairseq(state, conv_norm)
    return fairseq_to_hf(theirs) if toolkit == "huggingface" else theirs


def _mask_beside(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mask embedding, which torchaudio's pre-training models have beside the encoder."""
    found = [value for name, value in state.items() if name.endswith("mask_generator.mask_embedding")]
    return {"mask_emb": found[0]} if found else {}


def _single_adapter(name: str, value: Tensor) -> Tensor:
    """fairseq stacks the adapters of several languages. A file with one is the same without the stack."""
    if ".adapter_layer." not in name or value.ndim == (2 if ".W_" in name else 1):
        return value
    if len(value) != 1:
        raise CheckpointError(f"The checkpoint stacks adapters of {len(value)} languages; take a file with one.")
    return value[0]


def _require_finite(original: Original, state: Mapping[str, Tensor]) -> None:
    spoiled = [name for name, value in state.items() if not bool(value.isfinite().all())]
    if spoiled:
        raise CheckpointError(f"{original.path} holds NaN or infinity in {len(spoiled)} tensors, {spoiled[0]} first.")
