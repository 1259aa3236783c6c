"""Small files in the formats in which checkpoints are published, written without the toolkits that write them.

Classes that a file must name are made on the spot, under their published names, only while the file is written.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from torch import Tensor

from audiossl import load_upstream
from audiossl.core.files import write_json
from audiossl.core.tensors import write_tensors
from audiossl.encoders.testing import perturb
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.to_transformers import config_json

STEM = "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2"
TOY: dict[str, Any] = {
    "conv_widths": (16,) * 7,
    "width": 24,
    "num_layers": 2,
    "num_heads": 4,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 4,
}
LARGE: dict[str, Any] = {"conv_norm": "layer", "pre_norm": True, "normalize": "layer_norm"}


def encoder(family: str = "wav2vec2", seed: int = 1, **options: Any) -> WaveformEncoder:
    """A tiny encoder with nothing at its initial value, biases and norms included."""
    made = load_upstream(family, weights="random", seed=seed, **{**TOY, **options})
    perturb(made, seed=seed)
    assert isinstance(made, WaveformEncoder)
    return made


def fairseq_state(made: WaveformEncoder) -> dict[str, Tensor]:
    return to_original(made.state_dict(), made.config.conv_norm)


def architecture(made: WaveformEncoder, name: str = "wav2vec2", **more: Any) -> dict[str, Any]:
    """The fields of fairseq's model section, some of which are of no use to us."""
    config = made.config
    return {
        "_name": name,
        "extractor_mode": "layer_norm" if config.conv_norm == "layer" else "default",
        "encoder_layers": config.num_layers,
        "encoder_embed_dim": config.width,
        "encoder_ffn_embed_dim": config.ffn_width,
        "encoder_attention_heads": config.num_heads,
        "activation_fn": "gelu",
        "layer_norm_first": config.pre_norm,
        "conv_feature_layers": STEM,
        "conv_bias": config.conv_bias,
        "conv_pos": config.position_kernel,
        "conv_pos_groups": config.position_groups,
        "final_dim": 8,
        "latent_temp": [2.0, 0.5, 0.999995],
        **more,
    }


def task(made: WaveformEncoder) -> dict[str, Any]:
    return {"_name": "audio_pretraining", "sample_rate": 16000, "normalize": made.config.normalize != "none"}


def shell(made: WaveformEncoder, state: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What fairseq's trainer writes around a model since May 2021."""
    return {
        "args": None,
        "cfg": {"_name": None, "common": {"fp16": True}, "model": architecture(made), "task": task(made)},
        "model": dict(fairseq_state(made) if state is None else state),
        "criterion": None,
        "optimizer_history": [{"criterion_name": "c", "lr_scheduler_state": {"best": 1.5}, "num_updates": 400000}],
        "task_state": {},
        "extra_state": {"metrics": [], "train_iterator": {"epoch": 3}, "best": 1.5},
        "last_optimizer_state": None,
        **more,
    }


def namespace_era(made: WaveformEncoder) -> dict[str, Any]:
    """Before October 2020: one flat namespace of everything."""
    fields = {key: value for key, value in architecture(made).items() if key != "_name"}
    args = argparse.Namespace(arch="wav2vec2", task="audio_pretraining", **fields, normalize=task(made)["normalize"])
    made_shell = shell(made, args=args)
    del made_shell["cfg"]
    return made_shell


def omegaconf_era(made: WaveformEncoder) -> dict[str, Any]:
    """October 2020 to March 2021: a DictConfig object, numpy scalars among the metrics."""
    made_shell = shell(made, args=None)
    made_shell["cfg"] = OmegaConf.create(made_shell["cfg"])
    made_shell["extra_state"]["best"] = np.float64(1.5)
    return made_shell


def with_recogniser(made: WaveformEncoder) -> dict[str, Any]:
    """Fine-tuned for CTC: the encoder's section nested, its names under a prefix, a head beside it."""
    state = {f"w2v_encoder.w2v_model.{name}": value for name, value in fairseq_state(made).items()}
    state |= {"w2v_encoder.proj.weight": torch.zeros(32, 24), "w2v_encoder.proj.bias": torch.zeros(32)}
    inner = {"model": architecture(made), "task": task(made)}
    made_shell = shell(made, state)
    made_shell["cfg"]["model"] = {"_name": "wav2vec_ctc", "w2v_args": inner, "normalize": "${task.normalize}"}
    return made_shell


def with_pretraining_heads(made: WaveformEncoder) -> dict[str, Any]:
    state = fairseq_state(made)
    state |= {"quantizer.vars": torch.zeros(1, 16, 8), "project_q.weight": torch.zeros(8, 8), "_ema": {"w": None}}
    state |= {"quantizer.weight_proj.bias": torch.zeros(8), "final_proj.0.weight": torch.zeros(8, 24)}
    return shell(made, state)


def microsoft(made: WaveformEncoder) -> dict[str, Any]:
    flat = {key: value for key, value in architecture(made).items() if key != "_name"}
    gates = {"relative_position_embedding": True, "num_buckets": 320, "max_distance": 800, "gru_rel_pos": True}
    return {"cfg": {**flat, **gates, "normalize": task(made)["normalize"]}, "model": fairseq_state(made)}


def s3prl(made: WaveformEncoder, name: str = "hubert") -> dict[str, Any]:
    state = {**fairseq_state(made), "label_embs_concat": torch.zeros(20, 8)}
    return {
        "task_cfg": {**task(made), "some_extra": 3},
        "model_cfg": architecture(made, name),
        "model_weight": state,
        "dictionaries_symbols": [["<s>", "a"]],
    }


def distiller(made: WaveformEncoder) -> dict[str, Any]:
    described = {**architecture(made), "extractor_conv_feature_layers": STEM}
    state = {**fairseq_state(made), "output_layer.0.weight": torch.zeros(3, 24), "output_layer.2.bias": torch.zeros(1)}
    args = argparse.Namespace(upstream="distiller")
    return {"Distiller": state, "Config": {"distiller": described}, "Args": args, "Step": 3, "Optimizer": {}}


@contextmanager
def published_classes() -> Iterator[dict[str, Any]]:
    """fairseq's Dictionary and Choices and an optimizer, as importable as torch.save wants them."""
    dictionary = type("Dictionary", (), {})
    choices = Enum("Choices", {"layer_norm": "layer_norm", "default": "default"}, type=str)
    meter = type("AverageMeter", (), {})
    places = {
        "fairseq.data.dictionary": {"Dictionary": dictionary},
        "fairseq.dataclass.constants": {"Choices": choices},
        "fairseq.meters": {"AverageMeter": meter},
    }
    added = []
    for module, members in places.items():
        for count in range(1, len(module.split(".")) + 1):
            name = ".".join(module.split(".")[:count])
            if name not in sys.modules:
                sys.modules[name] = types.ModuleType(name)
                added.append(name)
        for name, member in members.items():
            member.__module__, member.__qualname__ = module, name
            setattr(sys.modules[module], name, member)
    try:
        yield {"Dictionary": dictionary, "Choices": choices, "AverageMeter": meter}
    finally:
        for name in added:
            del sys.modules[name]


def with_objects(made: WaveformEncoder, classes: Mapping[str, Any]) -> dict[str, Any]:
    """March to May 2021: enums in the configuration, a dictionary of labels in the task's state, meters."""
    labels = classes["Dictionary"]()
    labels.__dict__.update(symbols=["<s>", "a"], count=[1, 2], indices={"<s>": 0})
    meter = classes["AverageMeter"]()
    meter.__dict__.update(val=0.0, avg=0.0)
    made_shell = shell(made, task_state={"dictionaries": [labels]}, extra_state={"train_meters": {"wall": meter}})
    mode = classes["Choices"].layer_norm if made.config.conv_norm == "layer" else classes["Choices"].default
    made_shell["cfg"]["model"] = architecture(made, "hubert", extractor_mode=mode)
    return made_shell


def torchaudio_json(made: WaveformEncoder) -> dict[str, Any]:
    config = made.config
    layers = zip(config.conv_widths, config.conv_kernels, config.conv_strides, strict=True)
    return {
        "extractor_mode": "layer_norm" if config.conv_norm == "layer" else "group_norm",
        "extractor_conv_layer_config": [list(layer) for layer in layers],
        "extractor_conv_bias": config.conv_bias,
        "encoder_embed_dim": config.width,
        "encoder_projection_dropout": 0.1,
        "encoder_pos_conv_kernel": config.position_kernel,
        "encoder_pos_conv_groups": config.position_groups,
        "encoder_num_layers": config.num_layers,
        "encoder_num_heads": config.num_heads,
        "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": config.ffn_width,
        "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.1,
        "encoder_layer_norm_first": config.pre_norm,
        "encoder_layer_drop": 0.05,
        "aux_num_out": None,
    }


def under_transformers_names(made: WaveformEncoder) -> dict[str, Tensor]:
    """The encoder of a model with heads, as transformers has it within."""
    inner = to_original(made.state_dict(), made.config.conv_norm, "huggingface")
    return {f"wav2vec2.{name}": value for name, value in inner.items()}


def in_transformers(made: WaveformEncoder, heads: Mapping[str, Tensor], folder: Path) -> Path:
    """A folder of a model for pre-training."""
    write_tensors(folder / "model.safetensors", {**under_transformers_names(made), **heads}, {})
    write_json(folder / "config.json", config_json(made, "wav2vec2", "Wav2Vec2ForPreTraining"))
    return folder


def in_torchaudio(made: WaveformEncoder, heads: Mapping[str, Tensor], path: Path) -> Path:
    """A file of a model for pre-training, whose mask embedding and heads lie beside the encoder."""
    state = dict(heads)
    for name, value in under_transformers_names(made).items():
        for theirs, deeper in (
            ("wav2vec2.encoder.", "wav2vec2.encoder.transformer."),
            ("wav2vec2.feature_projection.", "wav2vec2.encoder.feature_projection."),
            ("wav2vec2.masked_spec_embed", "mask_generator.mask_embedding"),
        ):
            if name.startswith(theirs):
                name = deeper + name.removeprefix(theirs)
                break
        state[name] = value
    return write(state, path)


def write(content: Any, path: Path, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
