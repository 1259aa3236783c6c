"""An encoder from a file of another framework: by what it says, what the user says, and a question for the rest.

ONNX is data. TorchScript is code, which torch runs with the rights of the user: `torchscript:` before a path is how a
user asks for that. A folder may name only programs that were asked for here before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.core.config import structured
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.encoders.exported.config import MOST_SAMPLES, ExportedConfig
from audiossl.encoders.exported.model import ExportedUpstream
from audiossl.encoders.exported.onnx_file import read_onnx
from audiossl.encoders.exported.program import Program
from audiossl.encoders.exported.torchscript_file import read_torchscript

KINDS = ("onnx", "torchscript")


def load_exported(
    kind: str, path: Path, options: Mapping[str, Any], *, namer: str = "", random_init: bool = False
) -> ExportedUpstream:
    """An encoder of an ONNX or TorchScript file.

    kind: one of KINDS.
    path: of the file.
    options: fields of `ExportedConfig`.
    namer: the folder that names it, '' for the user.
    random_init: refused, as no weights can be drawn afresh.
    Raises CheckpointError for what cannot be used, and ConfigError for what has to be told.
    """
    if random_init:
        raise ConfigError(f"{kind}:{path} has its weights inside, and random ones cannot be drawn; leave that out.")
    program = read_onnx(path) if kind == "onnx" else read_torchscript(path, namer)
    said, one = program.said, options.get("outputs")
    options = {**options, **({"outputs": [one]} if isinstance(one, str) else {})}
    config = structured(ExportedConfig, said, options, where=f"options of {program}")
    config = _with_windows(program, config, said)
    layers = _layers(program, config)
    config = dataclasses.replace(config, outputs=list(layers))
    _require_frames(program, config, layers)
    upstream = ExportedUpstream(program, config, [layer.shape[-1] for layer in layers.values()])
    with torch.no_grad():  # the claims about frames are asserted once, before anything is computed with them
        upstream(_example(program, config))
    return upstream


def _with_windows(program: Program, config: ExportedConfig, said: Mapping[str, Any]) -> ExportedConfig:
    """With the windows that the input asks for. Raises ConfigError for a rate or a window that the file contradicts."""
    rate = config.sample_rate_hz
    if rate is None:
        raise ConfigError(
            f"{program} does not say for which rate it is; give it as sample_rate_hz=RATE, for instance 16000."
        )
    if said.get("sample_rate_hz") not in (None, rate):
        raise ConfigError(f"{program} says that it takes {said['sample_rate_hz']} Hz; leave sample_rate_hz={rate} out.")
    fixed = program.num_samples
    if fixed is not None:
        if config.window_s is not None and round(config.window_s * rate) != fixed:
            raise ConfigError(
                f"{program} takes {fixed} samples, {fixed / rate:g} s at {rate} Hz; leave window_s={config.window_s:g} "
                f"out, or correct sample_rate_hz."
            )
        config = dataclasses.replace(config, window_s=fixed / rate)
    if (config.window_s or 0.0) * rate > MOST_SAMPLES:
        raise CheckpointError(f"{program} takes {config.window_s:g} s at once, more than memory is reserved for.")
    if config.hop_s is not None and config.window_s is None:
        raise ConfigError(f"{program} takes any length, so that it has no windows; leave hop_s out, or give window_s.")
    if config.window_s is not None and (config.hop_s or 0.0) > config.window_s:
        raise ConfigError(
            f"hop_s={config.hop_s:g} leaves out sound between windows of {config.window_s:g} s; take at most that."
        )
    return config


def _layers(program: Program, config: ExportedConfig) -> dict[str, Tensor]:
    """The outputs that are layers, by name, as an example gives them. Raises ConfigError where they are not known."""
    made = program.run(_example(program, config)[0][None], ())
    shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in made.items())
    if missing := [name for name in config.outputs if name not in made]:
        raise ConfigError(
            f"{program} has no output {missing[0]!r}; name some of those that it has by outputs=[NAME, ...]: {shapes}."
        )
    if not config.outputs and len(made) > 1:
        raise ConfigError(
            f"{program} has several outputs ({shapes}); say which are layers by outputs=[NAME, ...], the first first."
        )
    layers = {name: made[name] for name in config.outputs or made}
    for name, layer in layers.items():
        if layer.ndim not in (2, 3) or len(layer) != 1 or not layer.is_floating_point() or not layer.numel():
            raise CheckpointError(
                f"The output {name!r} of {program} is {tuple(layer.shape)} {layer.dtype}, and a layer must be frames "
                f"(1, T, D) or one vector (1, D); name others by outputs=[NAME, ...] (there are: {shapes})."
            )
    return layers


def _require_frames(program: Program, config: ExportedConfig, layers: Mapping[str, Tensor]) -> None:
    """Raise ConfigError where nobody says how frames lie in a recording."""
    if config.window_s is not None:
        return
    num_samples = _example(program, config).shape[1]
    vectors = [name for name, layer in layers.items() if layer.ndim == 2]
    if vectors:
        raise ConfigError(
            f"The output {vectors[0]!r} of {program} is one vector, however long its input is; give the length of "
            f"windows, each of which has one, for instance window_s=3."
        )
    if config.stride is None or config.receptive_field is None:
        frames = next(iter(layers.values())).shape[1]
        raise ConfigError(
            f"{program} does not say how its frames lie (it gives {frames} of {num_samples} samples); set stride, the "
            f"samples between frames, and receptive_field, the samples of one, for instance stride=320 and "
            f"receptive_field=400."
        )


def _example(program: Program, config: ExportedConfig) -> Tensor:
    """Silence (1, S): a window, or a second and at least a few frames."""
    rate = config.sample_rate_hz or 1
    if config.window_s is not None:
        return torch.zeros(1, max(1, round(config.window_s * rate)))
    return torch.zeros(1, max(rate, (config.receptive_field or 0) + 3 * (config.stride or 0), config.min_samples or 0))
