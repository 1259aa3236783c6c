"""The configuration of a waveform encoder, from its tensors and from what its file says."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import Original
from audiossl.encoders.waveform.names import stem_norm
from audiossl.encoders.waveform.recognition import architecture

_log = logging.getLogger(__name__)

_STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of every published stem
_HEADS_OF_WIDTH = {768: 12, 1024: 16, 1280: 16, 1920: 16}


def configuration_of(original: Original, state: Mapping[str, Tensor], options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `WaveformConfig` that a checkpoint stands for. Raises CheckpointError.

    original: the checkpoint, for what it says of itself.
    state: its encoder's tensors under fairseq's names, for what they show.
    options: what the user wants otherwise, which goes before both.
    """
    _require_whole(original, state)
    described = _described(original, state)
    described |= _chosen(original, options, described["normalize"])
    if "num_heads" not in described:
        described["num_heads"] = _guessed_heads(original, described["width"])
    return described


def _described(original: Original, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the tensors show, and what the file says of the rest. Without num_heads where nothing tells."""
    shown = _shown_by_tensors(state)
    if original.kind == "huggingface":
        said = _said_by_hf(original.described["config"])
    elif "torchaudio" in original.described:
        said = _said_by_torchaudio(original.described["torchaudio"])
    else:
        said = _said_by_fairseq(original)
    # Where nothing is said, the published models of this shape are taken as the rule.
    large = shown["conv_norm"] == "layer"
    data2vec = shown["position_norm"] == "layer"
    defaults = {
        "conv_strides": _STRIDES[: len(shown["conv_widths"])],
        "pre_norm": large and not data2vec,
        "normalize": "layer_norm" if large else "none",
    }
    merged = {**defaults, **said, **shown}
    if "num_buckets" not in shown:  # other models share WavLM's class, and its settings
        merged.pop("max_distance", None)
    for field in ("num_layers", "adapter_width"):  # half of the layers missing must show, and so must the adapters
        merged[field] = said.get(field, shown[field])
    if len(merged["conv_strides"]) != len(merged["conv_widths"]):
        raise CheckpointError(
            f"{original.path} has {len(merged['conv_widths'])} convolutions and does not say their strides."
        )
    return merged


def _require_whole(original: Original, state: Mapping[str, Tensor]) -> None:
    needed = ("feature_extractor.conv_layers.0.0.weight", "encoder.layer_norm.weight", "encoder.layers.0.fc1.weight")
    missing = [name for name in needed if name not in state]
    if missing:
        raise CheckpointError(f"{original.path} is no whole waveform encoder; missing: {', '.join(missing)}.")


def _shown_by_tensors(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields that shapes and presence of tensors settle, whatever a file says of them."""
    convs = _numbered(state, r"feature_extractor\.conv_layers\.(\d+)\.0\.weight")
    width = len(state["encoder.layer_norm.weight"])
    adapter = state.get("encoder.layers.0.adapter_layer.W_a")
    shown: dict[str, Any] = {
        "conv_widths": tuple(conv.shape[0] for conv in convs),
        "conv_kernels": tuple(conv.shape[2] for conv in convs),
        "conv_norm": stem_norm(state),
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in state,
        "feature_norm": "layer_norm.weight" in state,
        "projection": "post_extract_proj.weight" in state,
        "width": width,
        "num_layers": len(_numbered(state, r"encoder\.layers\.(\d+)\.fc1\.weight")),
        "ffn_width": len(state["encoder.layers.0.fc1.weight"]),
        "mask_embedding": "mask_emb" in state,
        "adapter_width": 0 if adapter is None else adapter.shape[0],
        **_position_of(state, width),
    }
    biases = state.get("encoder.layers.0.self_attn.relative_attention_bias.weight")
    # Of the attention's heads only a table of relative biases bears witness.
    if biases is not None:
        shown |= {"num_buckets": biases.shape[0], "num_heads": biases.shape[1]}
    return shown


def _position_of(state: Mapping[str, Tensor], width: int) -> dict[str, Any]:
    stacked = _numbered(state, r"encoder\.pos_conv\.(\d+)\.0\.weight")
    if stacked:
        kernel, depth, groups = stacked[0].shape[2] * len(stacked), len(stacked), width // stacked[0].shape[1]
        return {
            "position_norm": "layer",
            "position_kernel": kernel,
            "position_depth": depth,
            "position_groups": groups,
        }
    batch = "encoder.pos_conv.0.running_mean" in state
    taps = state.get("encoder.pos_conv.1.weight" if batch else "encoder.pos_conv.0.weight_v")
    if taps is None:
        raise CheckpointError("The checkpoint has no position convolution (encoder.pos_conv): it is not whole.")
    return {
        "position_norm": "batch" if batch else "weight",
        "position_kernel": taps.shape[2],
        "position_groups": width // taps.shape[1],
    }


def _said_by_fairseq(original: Original) -> dict[str, Any]:
    """Fields from a configuration of fairseq, Microsoft or s3prl. Raises CheckpointError for what is not here."""
    model = architecture(original)
    task = original.described.get("task")
    task = task if isinstance(task, Mapping) else {}
    outer = model.get("_outer", {})
    said: dict[str, Any] = {
        "num_heads": model.get("encoder_attention_heads"),
        "num_layers": model.get("encoder_layers"),
        "pre_norm": model.get("layer_norm_first"),
        # Microsoft's class has 1280 where a file says nothing; the published ones say 800.
        "max_distance": model.get("max_distance", 1280 if model.get("relative_position_embedding") else None),
        "sample_rate_hz": task.get("sample_rate"),
    }
    # What only an expression or one of several sections says.
    if stem := model.get("conv_feature_layers") or model.get("extractor_conv_feature_layers"):
        said["conv_strides"] = tuple(layer[2] for layer in parse_conv_layers(str(stem)))
    flags = [section.get("normalize") for section in (task, outer, model)]
    normalize = next((flag for flag in flags if isinstance(flag, bool)), None)  # an interpolation is a string
    if normalize is not None:
        said["normalize"] = "layer_norm" if normalize else "none"
    # Better refused than loaded as something else.
    if str(model.get("activation_fn", "gelu")) != "gelu":
        raise CheckpointError(f"{original.path} uses the activation {model['activation_fn']!r}; only gelu is here.")
    if model.get("relative_position_embedding") and not model.get("gru_rel_pos", True):
        raise CheckpointError(f"{original.path} has relative positions without gates, which no published WavLM has.")
    return {key: value for key, value in said.items() if value is not None}


def parse_conv_layers(text: str) -> list[tuple[int, int, int]]:
    """fairseq's stem as (width, kernel, stride) each: a Python expression of lists, +, * and numbers, never run.

    >>> parse_conv_layers("[(512,10,5)] + [(512,3,2)] * 2")
    [(512, 10, 5), (512, 3, 2), (512, 3, 2)]
    """
    try:
        layers = _value_of(ast.parse(text.strip(), mode="eval").body)
        return [(int(width), int(kernel), int(stride)) for width, kernel, stride in layers]
    except (SyntaxError, ValueError, TypeError) as error:
        raise CheckpointError(f"The stem's description {text!r} cannot be read.") from error


def _value_of(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int()):
            return node.value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value_of(element) for element in elements]
        case ast.BinOp(op=ast.Add()):
            return _value_of(node.left) + _value_of(node.right)
        case ast.BinOp(op=ast.Mult()):
            left, right = _value_of(node.left), _value_of(node.right)
            if max(value for value in (left, right, 0) if isinstance(value, int)) > 1000:
                raise ValueError("a stem of over a thousand layers")
            return left * right
    raise ValueError(f"{type(node).__name__} is no part of a stem's description")


def _said_by_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from a configuration of transformers, whose defaults hold where it is silent. Raises CheckpointError."""
    kind = config.get("model_type")
    for key in ("hidden_act", "feat_extract_activation"):
        if config.get(key, "gelu") != "gelu":
            raise CheckpointError(f"The configuration has {key}={config[key]!r}; only gelu is here.")
    if kind == "mert_model" and (config.get("feature_extractor_cqt") or config.get("deepnorm")):
        raise CheckpointError("This MERT reads a constant-Q transform or uses deep norms; only the plain form is here.")
    said = {
        "num_heads": config.get("num_attention_heads", 12),
        "num_layers": config.get("num_hidden_layers", 12),
        "conv_strides": tuple(config.get("conv_stride", _STRIDES)),
        "norm_eps": float(config.get("layer_norm_eps", 1e-5)),
        "pre_norm": bool(config.get("do_stable_layer_norm", False)),
        "max_distance": config.get("max_bucket_distance", 800) if kind == "wavlm" else None,
        "sample_rate_hz": config.get("sample_rate"),
        "adapter_width": config.get("adapter_attn_dim"),
    }
    if kind == "data2vec-audio":
        said["pre_norm"] = False
    if kind == "mert_model":  # its training's own setting is not published; its preprocessor is what its users run
        said["normalize"] = "huggingface"
    return {key: value for key, value in said.items() if value is not None}


def _said_by_torchaudio(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_heads": int(config["encoder_num_heads"]),
        "num_layers": int(config["encoder_num_layers"]),
        "conv_strides": tuple(int(layer[2]) for layer in config["extractor_conv_layer_config"] or []) or _STRIDES,
        "pre_norm": bool(config["encoder_layer_norm_first"]),
        **({"normalize": "layer_norm" if config["normalize"] else "none"} if "normalize" in config else {}),
    }


def _chosen(original: Original, options: Mapping[str, Any], guess: str) -> dict[str, Any]:
    """The user's options, and what the folder's preprocessor says where they leave it open.

    original: the checkpoint.
    options: of the user, of which normalize='huggingface' does what the preprocessor says, too.
    guess: the normalisation where nothing is said.
    """
    chosen: dict[str, Any] = {"normalize": guess, **options}
    preprocessor = original.described.get("preprocessor")
    if preprocessor is None:
        return chosen
    if options.get("normalize", "huggingface") == "huggingface":
        chosen["normalize"] = "huggingface" if _flag(original, preprocessor) else "none"
    if "normalize" not in options and (guess == "none") != (chosen["normalize"] == "none"):
        _log.warning(
            "%s: the waveform is %snormalised, as its preprocessor says, though encoders of this style are usually "
            "trained %s; normalize=%s would do that.",
            original.path,
            "" if guess == "none" else "not ",
            "without" if guess == "none" else "with it",
            guess,
        )
    rate = preprocessor.get("sampling_rate")
    return {**({"sample_rate_hz": int(rate)} if rate else {}), **chosen}


def _flag(original: Original, preprocessor: Mapping[str, Any]) -> bool:
    """Whether a preprocessor normalises the waveform, which that of transformers does where it says nothing."""
    said = preprocessor.get("do_normalize", True)
    if not isinstance(said, bool):
        raise CheckpointError(f"The preprocessor of {original.path} has do_normalize={said!r}, not true or false.")
    return said


def _guessed_heads(original: Original, width: int) -> int:
    """The number of attention heads leaves no trace in tensors: that of the published models of this width."""
    heads = _HEADS_OF_WIDTH.get(width, 12)
    if width not in _HEADS_OF_WIDTH:
        if width % heads:
            raise CheckpointError(f"{original.path} does not say its number of attention heads; give num_heads=...")
        _log.warning(
            "%s does not say its number of attention heads: %d are assumed; give num_heads=... if that is wrong.",
            original.path,
            heads,
        )
    return heads


def _numbered(state: Mapping[str, Tensor], pattern: str) -> list[Tensor]:
    found = {int(match[1]): value for name, value in state.items() if (match := re.fullmatch(pattern, name))}
    return [found[number] for number in sorted(found)]
