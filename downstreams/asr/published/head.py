"""The head of a recogniser that another toolkit has fine-tuned: one linear layer on the last hidden state.

`Wav2Vec2ForCTC`, `HubertForCTC`, `WavLMForCTC` and their like of transformers, and fairseq's `wav2vec_ctc`, share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audiossl.core.config import as_dict
from audiossl.core.errors import CheckpointError
from audiossl.downstreams.asr.published.vocabulary import Vocabulary, of_fairseq, of_transformers
from audiossl.encoders.formats.original import Original
from audiossl.encoders.waveform.recognition import family_of
from audiossl.experiments.published_runs import PublishedHead

_FAIRSEQ_HEADS = ("w2v_encoder.proj", "encoder.proj", "proj")


def head_of(original: Original) -> PublishedHead | None:
    """The head of a recogniser, None of what is none. Raises CheckpointError for one that cannot be a run."""
    if original.kind == "huggingface":
        return _of_transformers(original)
    if original.kind not in ("fairseq", "state_dict"):
        return None
    name = next((name for name in _FAIRSEQ_HEADS if f"{name}.weight" in original.state), "")
    if not name:
        return None
    layer = _layer(original, name)
    return _published(of_fairseq(original, len(layer[0])), layer)


def _of_transformers(original: Original) -> PublishedHead | None:
    config: Mapping[str, Any] = original.described["config"]
    classes = [str(name) for name in config.get("architectures") or []]
    if not any(name.endswith("ForCTC") for name in classes):
        return None
    if not family_of(original):
        raise CheckpointError(
            f"{original.path} is a {classes[0]}, and runs are made of recognisers of the wav2vec 2.0 family alone "
            f"(wav2vec 2.0, HuBERT, WavLM, data2vec, UniSpeech)."
        )
    if config.get("add_adapter"):
        raise CheckpointError(
            f"{original.path} has convolutions between encoder and head (add_adapter), which no head here has."
        )
    layer = _layer(original, "lm_head")
    return _published(of_transformers(original.path, config, len(layer[0])), layer)


def _layer(original: Original, name: str) -> tuple[Tensor, Tensor]:
    """Weight (rows, D) and bias (rows,) of a linear layer, in single precision."""
    weight, bias = (original.state.get(f"{name}.{part}") for part in ("weight", "bias"))
    if weight is None or weight.ndim != 2:
        raise CheckpointError(f"{original.path} has no {name}.weight (rows, width), which a recogniser has.")
    return weight.float(), weight.new_zeros(len(weight)).float() if bias is None else bias.float()


def _published(vocabulary: Vocabulary, layer: tuple[Tensor, Tensor]) -> PublishedHead:
    """The head in terms of the task: nothing between the last hidden state and the scores."""
    plain = {"kind": "linear", "frame_s": 0.0, "normalize": False, "projector_width": None, "dropout": 0.0}
    task = {
        "text": as_dict(vocabulary.text),
        "head": plain,
        "unknown_symbols": "count",  # whoever scores it on other transcripts cannot train it on them
    }
    rows = torch.tensor(vocabulary.rows)
    state = {"head.output.weight": layer[0][rows], "head.output.bias": layer[1][rows]}
    return PublishedHead("asr", task, state)
