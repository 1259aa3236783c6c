"""Waveform encoders as folders that transformers loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.tensors import save_safetensors
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.model import WaveformEncoder


class HeadOnTop(NamedTuple):
    """A head with which transformers has a class of its own.

    suffix: what the class is called after the family, such as ForCTC.
    tensors: under the names of transformers.
    described: fields of config.json beside those of the encoder.
    """

    suffix: str
    tensors: Mapping[str, Tensor]
    described: Mapping[str, Any]


def write_folder(upstream: Upstream, folder: Path, head: HeadOnTop | None = None) -> None:
    """config.json, preprocessor_config.json and model.safetensors. Raises CheckpointError for other encoders."""
    if not isinstance(upstream, WaveformEncoder) or upstream.in_transformers is None:
        raise CheckpointError(
            f"{upstream.name} has no form in transformers; write it as a .safetensors file of audiossl instead."
        )
    state = to_original(upstream.state_dict(), upstream.config.conv_norm, "huggingface")
    model_type, architecture = upstream.in_transformers
    described = config_json(upstream, model_type, architecture)
    if head is not None:  # the encoder is a part of the whole then, under the name of its family
        prefix = model_type.replace("-", "_")
        state = {**{f"{prefix}.{name}": value for name, value in state.items()}, **head.tensors}
        described |= {"architectures": [f"{architecture.removesuffix('Model')}{head.suffix}"], **head.described}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    write_json(folder / "config.json", described)
    write_json(folder / "preprocessor_config.json", _preprocessor_json(upstream))
    with atomic_write(folder / "model.safetensors") as temporary:
        save_safetensors(tensors, temporary, {"format": "pt"})


def config_json(encoder: WaveformEncoder, model_type: str, architecture: str) -> dict[str, Any]:
    """transformers' configuration of an encoder, of the model_type and with the class that are given."""
    config = encoder.config
    masked = 0.05 if config.mask_embedding else 0.0  # without a mask probability transformers has no mask embedding
    described = {
        "model_type": model_type,
        "architectures": [architecture],
        "hidden_size": config.width,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.ffn_width,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": config.norm_eps,
        "conv_dim": list(config.conv_widths),
        "conv_kernel": list(config.conv_kernels),
        "conv_stride": list(config.conv_strides),
        "conv_bias": config.conv_bias,
        "num_feat_extract_layers": len(config.conv_widths),
        "feat_extract_norm": config.conv_norm,
        "do_stable_layer_norm": config.pre_norm,
        "num_conv_pos_embeddings": config.position_kernel,
        "num_conv_pos_embedding_groups": config.position_groups,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "feat_proj_dropout": config.feature_dropout,
        "layerdrop": config.layer_drop,
        "mask_time_prob": masked,
        "mask_feature_prob": 0.0,
        "torch_dtype": "float32",
    }
    # Fields that only some of their classes have.
    if model_type == "hubert":
        described |= {
            "feat_proj_layer_norm": config.feature_norm,
            "conv_pos_batch_norm": config.position_norm == "batch",
        }
    if model_type == "wavlm":
        described |= {"num_buckets": config.num_buckets, "max_bucket_distance": config.max_distance}
    if model_type == "data2vec-audio":
        kernel = max(3, config.position_kernel // config.position_depth)
        described |= {"num_conv_pos_embeddings": config.position_depth, "conv_pos_kernel_size": kernel}
    if config.adapter_width:
        described |= {"adapter_attn_dim": config.adapter_width}
    return described


def _preprocessor_json(encoder: WaveformEncoder) -> dict[str, Any]:
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": encoder.sample_rate_hz,
        "padding_side": "right",
        "padding_value": 0.0,
        "do_normalize": encoder.config.normalize != "none",
        "return_attention_mask": encoder.config.conv_norm == "layer",
    }
