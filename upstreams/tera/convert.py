"""TERA-family checkpoints of s3prl: `states-<step>.ckpt`, with the encoder under `Transformer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import load_strict
from audiossl.encoders.building import build_upstream
from audiossl.encoders.formats.converter import Converter
from audiossl.encoders.formats.original import Original
from audiossl.encoders.upstream import Upstream

# (our name, their name) of what is copied as it is; `{n}` is the block.
_STEM = (("project", "input_representations.spec_transform"), ("norm", "input_representations.LayerNorm"))
_BLOCK = (
    ("out", "attention.output.dense"),
    ("attention_norm", "attention.output.LayerNorm"),
    ("up", "intermediate.dense"),
    ("down", "output.dense"),
    ("ffn_norm", "output.LayerNorm"),
)
_QKV = ("query", "key", "value")


def family_of(original: Original) -> str:
    """'tera' for a checkpoint of this family, else ''."""
    ours = original.kind == "s3prl" and "input_representations.spec_transform.weight" in original.state
    return "tera" if ours else ""


def load(family: str, original: Original, options: Mapping[str, Any], random_init: bool = False) -> Upstream:
    """The encoder of an s3prl checkpoint, whose prediction head is left behind. Raises CheckpointError.

    family: 'tera'.
    original: the checkpoint.
    options: fields of `TeraConfig` to change.
    random_init: draw the parameters afresh.
    """
    described = {**config_from_original(original.described), **options}
    tera = build_upstream("audio_albert" if described["share_layers"] else "tera", described, seed=0)
    if not random_init:
        state = from_original(original.state)
        load_strict(tera, state, expected=tera.state_dict(), what="the TERA encoder that the file describes")
    return tera


CONVERTER = Converter(("tera",), family_of, load)


def config_from_original(sections: Mapping[str, Any]) -> dict[str, Any]:
    """TeraConfig fields from `Upstream_Config`, or from `Config` in older files."""
    described = sections.get("Upstream_Config") or sections.get("Config") or {}
    model, audio = described.get("transformer"), described.get("audio")
    if not model or not audio:
        raise CheckpointError("The s3prl checkpoint describes no `transformer` and `audio`: it is not a TERA encoder.")
    if model.get("pre_layer_norm"):
        raise CheckpointError("The s3prl checkpoint uses pre_layer_norm, which no published TERA model does.")
    shared = model.get("share_layer", False)
    return {
        **_audio_options(audio),
        "width": int(model["hidden_size"]),
        "num_layers": int(model["num_hidden_layers"]),
        "num_heads": int(model["num_attention_heads"]),
        "ffn_width": int(model["intermediate_size"]),
        "dropout": float(model["hidden_dropout_prob"]),
        "attention_dropout": float(model["attention_probs_dropout_prob"]),
        "norm_eps": float(model["layer_norm_eps"]),  # some files hold the string "1.0e-12"
        "share_layers": shared in (True, "True"),
    }


def _audio_options(audio: Mapping[str, Any]) -> dict[str, Any]:
    entry = audio.get("input", audio)
    kinds = {"mel": "log_mel", "fbank": "fbank", "linear": "spectrogram"}
    kind, log = entry.get("feat_type"), entry.get("log", True)
    if kind not in kinds or not log:
        raise CheckpointError(f"The s3prl checkpoint reads {kind!r} features (log={log}), which this model has not.")
    window = (audio.get("win_ms", 25), audio.get("hop_ms", 10))
    if window != (25, 10):
        raise CheckpointError(f"The s3prl checkpoint uses windows of {window} ms; this model has 25 and 10.")
    return {
        "features": kinds[kind],
        "num_mels": int(audio.get("n_mels", 80)),
        "deltas": int(entry.get("delta", 0)),
        "normalize": "utterance" if entry.get("cmvn") else "none",
        "level_db": None if kind == "fbank" else float(audio.get("target_level", -25)),
    }


def from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """s3prl names to ours. Blocks that share weights are stored once. Unknown names are kept, so that they show."""
    rest = {_modern(name): value for name, value in state.items()}
    ours: dict[str, Tensor] = {}
    for mine, theirs in _STEM:
        _move(rest, ours, theirs, mine)
    blocks = sorted({int(name.split(".")[2]) for name in rest if name.startswith("encoder.layer.")})
    shared = len(blocks) > 1 and _all_blocks_equal(rest, blocks)
    for n in blocks:
        target, source = (ours, f"encoder.layer.{n}") if not (shared and n) else ({}, f"encoder.layer.{n}")
        for mine, theirs in _BLOCK:
            _move(rest, target, f"{source}.{theirs}", f"blocks.{n}.{mine}")
        for kind in ("weight", "bias"):
            parts = [rest.pop(f"{source}.attention.self.{part}.{kind}", None) for part in _QKV]
            present = [part for part in parts if part is not None]
            if len(present) == len(_QKV):
                target[f"blocks.{n}.qkv.{kind}"] = torch.cat(present)
    return {**ours, **rest}


def to_original(state: Mapping[str, Tensor], num_layers: int) -> dict[str, Tensor]:
    """Our names to s3prl's. Shared blocks are repeated `num_layers` times, as s3prl stores them."""
    theirs: dict[str, Tensor] = {}
    num_blocks = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    for mine, name in _STEM:
        for kind in ("weight", "bias"):
            theirs[f"{name}.{kind}"] = state[f"{mine}.{kind}"]
    for n in range(num_layers):
        source, target = f"blocks.{n % num_blocks}", f"encoder.layer.{n}"
        for kind in ("weight", "bias"):
            for mine, name in _BLOCK:
                theirs[f"{target}.{name}.{kind}"] = state[f"{source}.{mine}.{kind}"]
            for part, value in zip(_QKV, state[f"{source}.qkv.{kind}"].chunk(3), strict=True):
                theirs[f"{target}.attention.self.{part}.{kind}"] = value
    return theirs


def _modern(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _move(rest: dict[str, Tensor], target: dict[str, Tensor], theirs: str, mine: str) -> None:
    """Weight and bias called `theirs` in `rest` become `mine` in `target`."""
    for kind in ("weight", "bias"):
        if f"{theirs}.{kind}" in rest:
            target[f"{mine}.{kind}"] = rest.pop(f"{theirs}.{kind}")


def _all_blocks_equal(state: Mapping[str, Tensor], blocks: Sequence[int]) -> bool:
    first = {name: value for name, value in state.items() if name.startswith(f"encoder.layer.{blocks[0]}.")}
    return all(
        torch.equal(value, state.get(name.replace(f"layer.{blocks[0]}.", f"layer.{n}.", 1), torch.empty(0)))
        for n in blocks[1:]
        for name, value in first.items()
    )
