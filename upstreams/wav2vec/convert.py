"""wav2vec and vq-wav2vec checkpoints of fairseq, and what s3prl made of them. What predicts in training is left behind.

feature_extractor.conv_layers.N.{0,2}    the first convolutions and their norms
vector_quantizer.vars                    (1, codebooks * codes, numbers), and weight_proj: the logits
vector_quantizer.embedding               (codes, codebooks, numbers), and projection.{0,1}: convolution and norm
feature_aggregator.conv_layers.N.{1,3}   the causal convolutions and their norms
feature_aggregator.residual_proj.N       of a shortcut between two widths
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import load_strict
from audiossl.encoders.building import build_upstream, require_shapes
from audiossl.encoders.formats.converter import Converter
from audiossl.encoders.formats.original import Original
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.description import parse_conv_layers

# (pattern of theirs, ours) and back: the number of a layer is copied.
_NAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", "stem.convs.{}."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.", "stem.norms.{}."),
    (r"feature_aggregator\.conv_layers\.(\d+)\.1\.", "blocks.{}.conv."),
    (r"feature_aggregator\.conv_layers\.(\d+)\.3\.", "blocks.{}.norm."),
    (r"feature_aggregator\.residual_proj\.(\d+)\.", "blocks.{}.shortcut."),
    (r"vector_quantizer\.weight_proj\.0\.0\.", "quantizer.logits.0."),
    (r"vector_quantizer\.weight_proj\.1\.", "quantizer.logits.2."),
    (r"vector_quantizer\.weight_proj\.", "quantizer.logits."),
    (r"vector_quantizer\.projection\.0\.", "quantizer.project."),
    (r"vector_quantizer\.projection\.1\.", "quantizer.norm."),
)
_VARS, _EMBEDDING, _ENTRIES = "vector_quantizer.vars", "vector_quantizer.embedding", "quantizer.entries"
_LEFT_BEHIND = ("wav2vec_predictions.", "project_features.")
_SIGN = "feature_aggregator."
# What fairseq's first versions wrote only where it was asked for.
_UNSAID: Mapping[str, Any] = {
    "activation": "relu",
    "log_compression": False,
    "skip_connections_agg": False,
    "residual_scale": 0.5,
    "agg_zero_pad": False,
    "vq_gamma": 0.25,
}
# (key, what every published model has, what is not here).
_REFUSED = (
    ("aggregator", "cnn", "a recurrent aggregator"),
    ("skip_connections_feat", False, "shortcuts between its first convolutions"),
    ("non_affine_group_norm", False, "norms without weights"),
)


def family_of(original: Original) -> str:
    """'wav2vec' for a checkpoint of this family, else ''."""
    ours = original.kind != "huggingface" and any(_SIGN in name for name in original.state)
    return "wav2vec" if ours else ""


def load(family: str, original: Original, options: Mapping[str, Any], random_init: bool = False) -> Upstream:
    """The encoder of a checkpoint. Raises CheckpointError.

    family: 'wav2vec'.
    original: the checkpoint.
    options: fields of `Wav2VecConfig` to change.
    random_init: draw the parameters afresh.
    """
    state = _encoder_of(original.state)
    described = {**_described(original, state), **options}
    ours, what = from_original(state, described.get("codes", 0)), "the wav2vec encoder that the file describes"
    if not random_init:
        require_shapes(family, described, ours, what)
    encoder = build_upstream(family, described, seed=0)
    if not random_init:
        load_strict(encoder, ours, expected=encoder.state_dict(), what=what)
    return encoder


CONVERTER = Converter(("wav2vec",), family_of, load)


def from_original(state: Mapping[str, Tensor], codes: int = 0) -> dict[str, Tensor]:
    """fairseq's names to ours. Unknown names are kept, so that they show.

    state: without what predicts.
    codes: entries of a codebook, where there is a quantiser.
    """
    ours = {}
    for name, value in state.items():
        if name == _VARS and value.ndim == 3 and codes:
            ours[_ENTRIES] = value.reshape(-1, codes, value.shape[-1])
        elif name == _EMBEDDING:
            ours[_ENTRIES] = value.transpose(0, 1)
        else:
            ours[_renamed(name)] = value
    return ours


def to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names to fairseq's."""
    theirs = {}
    for name, value in state.items():
        if name == _ENTRIES and "quantizer.project.weight" in state:
            theirs[_EMBEDDING] = value.transpose(0, 1)
        elif name == _ENTRIES:
            theirs[_VARS] = value.flatten(0, 1)[None]
        else:
            theirs[_original_name(name)] = value
    return theirs


def _encoder_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's tensors, alone and without the prefix of a model that contains it."""
    prefix = next(name.partition(_SIGN)[0] for name in state if _SIGN in name)
    plain = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return {name: value for name, value in plain.items() if not name.startswith(_LEFT_BEHIND)}


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        if match := re.match(theirs, name):
            return ours.format(*match.groups()) + name[match.end() :]
    return name


def _original_name(name: str) -> str:
    for theirs, ours in _NAMES:
        if match := re.match(re.escape(ours).replace(r"\{\}", r"(\d+)"), name):
            plain = theirs.replace(r"(\d+)", "{}").replace("\\", "")
            return plain.format(*match.groups()) + name[match.end() :]
    return name


def _described(original: Original, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of a `Wav2VecConfig`: what the tensors show, and what the file says of the rest."""
    model = original.described.get("model")
    if not isinstance(model, Mapping) or not model.get("conv_feature_layers"):
        raise CheckpointError(
            f"{original.path} has weights of a wav2vec encoder and does not say its strides and activation; give the "
            f"file as fairseq or s3prl wrote it, with its args, cfg or model_cfg."
        )
    for key, known, what in _REFUSED:
        if model.get(key, known) not in (known, None):
            raise CheckpointError(f"{original.path} is a wav2vec encoder with {what}, which audiossl does not have.")
    layers = parse_conv_layers(str(model["conv_feature_layers"]))
    said = {key: model.get(key, usual) for key, usual in _UNSAID.items()}
    convs = _convolutions(state, r"feature_aggregator\.conv_layers\.(\d+)\.1\.weight")
    if not convs or len({len(conv) for conv in convs}) > 1:
        raise CheckpointError(f"{original.path} has causal convolutions of several widths, or none; one width is here.")
    return {
        "conv_widths": tuple(width for width, _, _ in layers),
        "conv_kernels": tuple(kernel for _, kernel, _ in layers),
        "conv_strides": tuple(stride for _, _, stride in layers),
        "log_compression": bool(said["log_compression"]),
        "activation": str(said["activation"]),
        "aggregator_kernels": tuple(conv.shape[2] for conv in convs),
        "width": len(convs[0]),
        "aggregator_bias": "feature_aggregator.conv_layers.0.1.bias" in state,
        "past": "zeros" if said["agg_zero_pad"] else "first",
        "skip_connections": bool(said["skip_connections_agg"]),
        "residual_scale": float(said["residual_scale"]),
        "commitment": float(said["vq_gamma"]),
        **_quantizer_of(state, int(model.get("vq_groups", 2))),
    }


def _quantizer_of(state: Mapping[str, Tensor], groups: int) -> dict[str, Any]:
    """The fields of the quantiser, {} for none, from its tensors and the number of groups, which they do not show."""
    if (entries := state.get(_EMBEDDING)) is not None:
        codes, books, numbers = entries.shape
        found: dict[str, Any] = {"quantizer": "kmeans", "codes": codes}
    elif (entries := state.get(_VARS)) is not None:
        first = state.get("vector_quantizer.weight_proj.0.0.weight")
        last = state.get("vector_quantizer.weight_proj.bias", state.get("vector_quantizer.weight_proj.1.bias"))
        if last is None:
            raise CheckpointError("The checkpoint's quantiser has no logits, or over two layers before them.")
        codes, numbers = len(last) // groups, entries.shape[2]
        books = entries.shape[1] // max(codes, 1)
        found = {"quantizer": "gumbel", "codes": codes, "logits_width": 0 if first is None else len(first)}
    else:
        return {}
    return {**found, "groups": groups, "code_width": groups * numbers, "shared_codes": books == 1 and groups > 1}


def _convolutions(state: Mapping[str, Tensor], pattern: str) -> Sequence[Tensor]:
    found = {int(match[1]): value for name, value in state.items() if (match := re.fullmatch(pattern, name))}
    return [found[number] for number in sorted(found)]
