"""Names of the tensors of the wav2vec 2.0 family in fairseq, transformers, torchaudio and here.

fairseq's names (also Microsoft's and s3prl's) are the pivot: others are renamed to them, and from them to ours. A rule
is a pair of templates, read in both directions: {n} is a number, {k} is weight or bias, {b} any tensor of a batch norm.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from audiossl.core.errors import CheckpointError

_log = logging.getLogger(__name__)

Rules = Sequence[tuple[str, str]]

# (fairseq, ours) of what is copied as it is.
_OURS: Rules = (
    ("mask_emb", "mask_embedding"),
    ("feature_extractor.conv_layers.{n}.0.{k}", "stem.convs.{n}.{k}"),
    ("layer_norm.{k}", "feature_norm.{k}"),
    ("post_extract_proj.{k}", "project.{k}"),
    ("encoder.pos_conv.0.weight_g", "position.scale"),
    ("encoder.pos_conv.0.weight_v", "position.direction"),
    ("encoder.pos_conv.{n}.0.{k}", "position.convs.{n}.{k}"),
    ("encoder.layer_norm.{k}", "norm.{k}"),
    ("encoder.layers.{n}.self_attn.out_proj.{k}", "blocks.{n}.out.{k}"),
    ("encoder.layers.{n}.self_attn_layer_norm.{k}", "blocks.{n}.attention_norm.{k}"),
    ("encoder.layers.{n}.fc1.{k}", "blocks.{n}.up.{k}"),
    ("encoder.layers.{n}.fc2.{k}", "blocks.{n}.down.{k}"),
    ("encoder.layers.{n}.final_layer_norm.{k}", "blocks.{n}.ffn_norm.{k}"),
    ("encoder.layers.{n}.self_attn.grep_linear.{k}", "blocks.{n}.gates.{k}"),
    ("encoder.layers.0.self_attn.relative_attention_bias.weight", "relative_position.weight"),
    ("encoder.layers.{n}.adapter_layer.W_a", "blocks.{n}.adapter.down.weight"),
    ("encoder.layers.{n}.adapter_layer.b_a", "blocks.{n}.adapter.down.bias"),
    ("encoder.layers.{n}.adapter_layer.W_b", "blocks.{n}.adapter.up.weight"),
    ("encoder.layers.{n}.adapter_layer.b_b", "blocks.{n}.adapter.up.bias"),
    ("encoder.layers.{n}.adapter_layer.ln_W", "blocks.{n}.adapter.norm.weight"),
    ("encoder.layers.{n}.adapter_layer.ln_b", "blocks.{n}.adapter.norm.bias"),
)

_PLAIN_POSITION: Rules = (("encoder.pos_conv.0.bias", "position.bias"),)

_BATCH_NORM: Rules = (
    ("encoder.pos_conv.0.{b}", "position.norm.{b}"),
    ("encoder.pos_conv.1.{k}", "position.conv.{k}"),
)

# fairseq wraps the layer norms of the large style's stem once more than the group norm of the base style.
_STEM_NORM: Mapping[str, Rules] = {
    "group": (("feature_extractor.conv_layers.{n}.2.{k}", "stem.norms.{n}.{k}"),),
    "layer": (("feature_extractor.conv_layers.{n}.2.1.{k}", "stem.norms.{n}.{k}"),),
}

_QKV = ("encoder.layers.{n}.self_attn.{part}_proj.{k}", "blocks.{n}.qkv.{k}")

_GATE = ("encoder.layers.{n}.self_attn.grep_a", "blocks.{n}.gate_scale")

# (fairseq, transformers).
_HF: Rules = (
    ("mask_emb", "masked_spec_embed"),
    ("feature_extractor.conv_layers.{n}.0.{k}", "feature_extractor.conv_layers.{n}.conv.{k}"),
    ("layer_norm.{k}", "feature_projection.layer_norm.{k}"),
    ("post_extract_proj.{k}", "feature_projection.projection.{k}"),
    ("encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    ("encoder.pos_conv.{n}.0.{k}", "encoder.pos_conv_embed.layers.{n}.conv.{k}"),
    *(
        (f"encoder.layers.{{n}}.self_attn.{part}_proj.{{k}}", f"encoder.layers.{{n}}.attention.{part}_proj.{{k}}")
        for part in ("q", "k", "v", "out")
    ),
    ("encoder.layers.{n}.self_attn_layer_norm.{k}", "encoder.layers.{n}.layer_norm.{k}"),
    ("encoder.layers.{n}.fc1.{k}", "encoder.layers.{n}.feed_forward.intermediate_dense.{k}"),
    ("encoder.layers.{n}.fc2.{k}", "encoder.layers.{n}.feed_forward.output_dense.{k}"),
    ("encoder.layers.{n}.self_attn.grep_linear.{k}", "encoder.layers.{n}.attention.gru_rel_pos_linear.{k}"),
    ("encoder.layers.{n}.self_attn.grep_a", "encoder.layers.{n}.attention.gru_rel_pos_const"),
    (
        "encoder.layers.0.self_attn.relative_attention_bias.weight",
        "encoder.layers.0.attention.rel_attn_embed.weight",
    ),
    ("encoder.layers.{n}.adapter_layer.W_a", "encoder.layers.{n}.adapter_layer.linear_1.weight"),
    ("encoder.layers.{n}.adapter_layer.b_a", "encoder.layers.{n}.adapter_layer.linear_1.bias"),
    ("encoder.layers.{n}.adapter_layer.W_b", "encoder.layers.{n}.adapter_layer.linear_2.weight"),
    ("encoder.layers.{n}.adapter_layer.b_b", "encoder.layers.{n}.adapter_layer.linear_2.bias"),
    ("encoder.layers.{n}.adapter_layer.ln_W", "encoder.layers.{n}.adapter_layer.norm.weight"),
    ("encoder.layers.{n}.adapter_layer.ln_b", "encoder.layers.{n}.adapter_layer.norm.bias"),
)

_HF_BEFORE_PARAMETRIZATIONS: Rules = (
    ("encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.weight_g"),
    ("encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.weight_v"),
)

_HF_PLAIN_POSITION: Rules = (("encoder.pos_conv.0.bias", "encoder.pos_conv_embed.conv.bias"),)

_HF_BATCH_NORM: Rules = (
    ("encoder.pos_conv.0.{b}", "encoder.pos_conv_embed.batch_norm.{b}"),
    ("encoder.pos_conv.1.{k}", "encoder.pos_conv_embed.conv.{k}"),
)

_HF_STEM_NORM: Mapping[str, Rules] = {
    norm: tuple((theirs, "feature_extractor.conv_layers.{n}.layer_norm.{k}") for theirs, _ in rules)
    for norm, rules in _STEM_NORM.items()
}

# What training left beside the encoder: quantizers, prediction heads, speaker heads.
_HEADS = re.compile(
    r"(quantizer|project_q|project_inp|project_hid|input_quantizer|target_glu|final_proj|label_embs_concat|spk_proj|"
    r"layer_norm_for_extract|encoder\.layer_norm_for_extract|speaker_proj|label_embeddings_concat|lm_head|projector|"
    r"tdnn|classifier|objective|layer_weights|adapter|output_layer|proj|encoder\.proj|aux|w2v_encoder\.proj|decoder|mask_generator|"
    r"logit_generator|_ema)\b.*"
)

_STEM = "feature_extractor.conv_layers.0."


def encoder_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder's own tensors, without the prefix of a model that contains it and without known heads.

    Any prefix will do, since strict loading proves that all of the encoder lay under it. Names that belong to neither
    the encoder nor a known head stay where there is no prefix, so that strict loading shows them. What lies beside a
    prefix is not the encoder's: it is left behind, and said to be.
    Raises CheckpointError where the stem of an encoder is found under several prefixes.
    """
    named = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    prefixes = prefixes_of(named) or [""]
    if len(prefixes) > 1:
        found = " and ".join(repr(prefix) for prefix in prefixes)
        raise CheckpointError(f"The checkpoint holds encoders under {found}: save the state_dict() of one of them.")
    prefix = prefixes[0]
    inside = {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}
    beside = [name for name in named if not name.startswith(prefix)]
    strange = [name for name in beside if not _is_head(without_shared(name, prefix))]
    if strange:
        _log.warning(
            "Left behind, beside the encoder under %r: %d tensors that are no known head, %s first.",
            prefix,
            len(strange),
            strange[0],
        )
    return {name: value for name, value in inside.items() if not _HEADS.fullmatch(name)}


def prefixes_of(names: Iterable[str]) -> list[str]:
    """What stands before the stem of a waveform encoder, once for each that there is."""
    return sorted({name.partition(_STEM)[0] for name in names if _STEM in name})


def without_shared(name: str, prefix: str) -> str:
    """A name without the parts that it shares with a prefix, from the left: of modules that wrap the whole model.

    >>> without_shared("module.lm_head.weight", "module.wav2vec2.")
    'lm_head.weight'
    """
    for part in prefix.split(".")[:-1]:
        if not name.startswith(f"{part}."):
            break
        name = name.removeprefix(f"{part}.")
    return name


def _is_head(name: str) -> bool:
    # `feature_extractor.weight` beside a prefixed encoder is a linear layer of an x-vector head.
    return name.startswith("feature_extractor.") or _HEADS.fullmatch(name) is not None


def fairseq_to_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """fairseq's names to ours. Queries, keys and values become one matrix. Unknown names stay, so that they show."""
    position = _BATCH_NORM if _has_batch_norm(state) else _PLAIN_POSITION
    rules = (*_OURS, *_STEM_NORM[stem_norm(state)], *position)
    ours: dict[str, Tensor] = {}
    for name, value in state.items():
        if (found := _fields(_QKV[0], name)) is not None:
            parts = [state.get(_QKV[0].format(**{**found, "part": part})) for part in "qkv"]
            present = [part for part in parts if part is not None]
            whole = len(present) == len(parts)
            ours[_QKV[1].format(**found) if whole else name] = torch.cat(present) if whole else value
        elif (found := _fields(_GATE[0], name)) is not None:
            ours[_GATE[1].format(**found)] = value.reshape(-1)  # (1, H, 1, 1) -> (H,)
        else:
            ours[_renamed(name, rules)] = value
    return ours


def ours_to_fairseq(state: Mapping[str, Tensor], conv_norm: str) -> dict[str, Tensor]:
    """Inverse of `fairseq_to_ours`, for a stem with conv_norm 'group' or 'layer'."""
    position = _BATCH_NORM if "position.norm.running_mean" in state else _PLAIN_POSITION
    rules = _turned((*_OURS, *_STEM_NORM[conv_norm], *position))
    theirs: dict[str, Tensor] = {}
    for name, value in state.items():
        if (found := _fields(_QKV[1], name)) is not None:
            for part, share in zip("qkv", value.chunk(3), strict=True):
                theirs[_QKV[0].format(**found, part=part)] = share
        elif (found := _fields(_GATE[1], name)) is not None:
            theirs[_GATE[0].format(**found)] = value.view(1, -1, 1, 1)
        else:
            theirs[_renamed(name, rules)] = value
    return theirs


def hf_to_fairseq(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' names to fairseq's."""
    norm = "layer" if "feature_extractor.conv_layers.1.layer_norm.weight" in state else "group"
    batch_norm = "encoder.pos_conv_embed.batch_norm.running_mean" in state
    position = _HF_BATCH_NORM if batch_norm else _HF_PLAIN_POSITION
    rules = _turned((*_HF, *_HF_BEFORE_PARAMETRIZATIONS, *_HF_STEM_NORM[norm], *position))
    return {_renamed(name, rules): value for name, value in state.items()}


def fairseq_to_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of `hf_to_fairseq`, with the names that transformers writes now."""
    position = _HF_BATCH_NORM if _has_batch_norm(state) else _HF_PLAIN_POSITION
    rules = (*_HF, *_HF_STEM_NORM[stem_norm(state)], *position)
    return {_renamed(name, rules): value for name, value in state.items()}


def torchaudio_to_fairseq(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchaudio's names, transformers' one level deeper, to fairseq's. WavLM's joined projections are split."""
    made: dict[str, Tensor] = {}
    for name, value in state.items():
        for theirs, hf in (
            ("encoder.feature_projection.", "feature_projection."),
            ("encoder.transformer.", "encoder."),
            (".attention.attention.", ".attention."),
        ):
            name = name.replace(theirs, hf)
        if ".attention.in_proj_" in name:
            for part, share in zip("qkv", value.chunk(3), strict=True):
                made[name.replace("in_proj_", f"{part}_proj.")] = share
        else:
            made[name] = value
    return hf_to_fairseq(made)


def stem_norm(state: Iterable[str]) -> str:
    """'layer' or 'group', from fairseq's names."""
    return "layer" if "feature_extractor.conv_layers.0.2.1.weight" in state else "group"


def _has_batch_norm(state: Iterable[str]) -> bool:
    return "encoder.pos_conv.0.running_mean" in state


def _fields(template: str, name: str) -> dict[str, str] | None:
    """What the placeholders of a template stand for in a name, None where it does not fit."""
    match = _pattern(template).fullmatch(name)
    return match.groupdict() if match else None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template)
    for field, values in (
        ("n", r"\d+"),
        ("k", "weight|bias"),
        ("part", "[qkv]"),
        ("b", "weight|bias|running_mean|running_var|num_batches_tracked"),
    ):
        pattern = pattern.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>{values})")
    return re.compile(pattern)


def _renamed(name: str, rules: Rules) -> str:
    for source, target in rules:
        found = _fields(source, name)
        if found is not None:
            return target.format(**found)
    return name


def _turned(rules: Rules) -> Rules:
    return [(target, source) for source, target in rules]
