"""An encoder by name, by path or by reference, with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiossl.core.cards import Card
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import read_tensors
from audiossl.encoders.building import build_upstream, passed_on
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.weights import _load_state


def differences(config: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What of a card's shape a loaded configuration contradicts, as readable differences."""
    return [
        f"{key} is {config[key]!r}, not {value!r}"
        for key, value in expected.items()
        if key in config and _same(config[key]) != _same(value)
    ]


def _same(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def load_from_reference(reference: str, options: Mapping[str, Any], *, random_init: bool, seed: int) -> Upstream:
    """An encoder from a path (of our own or of another toolkit), or from `<toolkit>:<file, folder or repository>`."""
    from audiossl.encoders.formats.loading import load_original
    from audiossl.encoders.hub import local_path

    path, source = local_path(reference)
    # What `audiossl train` writes; what `audiossl pretrain` has finished holds upstream.safetensors.
    if not source and (path / "run.json").is_file() and not (path / "upstream.safetensors").is_file():
        return _encoder_of_run(path, options, random_init=random_init)
    own = path / "upstream.safetensors" if path.is_dir() and not (path / "config.json").is_file() else path
    if source or own.suffix != ".safetensors":
        return load_original(path, source, options, random_init=random_init)
    state, description = read_tensors(own)
    if "upstream" not in description:
        return load_original(path, source, options, random_init=random_init)
    # The file names a registered plugin, never an address to import: a checkpoint must not choose what code runs.
    name = description["upstream"]
    again = passed_on(name, random_init=True, seed=seed) if random_init else {}
    upstream = build_upstream(name, {**description["options"], **again, **options}, seed)
    _load_state(upstream, state, buffers_only=random_init)
    return upstream


def _encoder_of_run(folder: Path, options: Mapping[str, Any], *, random_init: bool) -> Upstream:
    """The encoder as a run has fine-tuned it, LoRA merged. Raises AudiosslError where there is none."""
    from audiossl.encoders.finetuning import merge_lora
    from audiossl.experiments.folder import read_facts
    from audiossl.experiments.loading import load_run
    from audiossl.experiments.sweeps.record import is_sweep

    if not is_sweep(folder) and "upstream_fingerprint" not in read_facts(folder):
        raise CheckpointError(
            f"{folder} has no upstream.safetensors, for its pre-training has not ended; go on with "
            f"`audiossl pretrain --resume {folder}`."
        )
    if options or random_init:
        raise ConfigError(f"{folder} is a run, whose encoder is as it was trained; leave the upstream's options out.")
    run = load_run(folder, device="cpu")
    if run.config.folds.by:
        raise ConfigError(f"{folder} is a cross-validation; name the run of one of its folds, {folder}/folds/NAME.")
    return merge_lora(run.task.upstream).requires_grad_(True)


def load_upstream(
    name: str,
    *,
    weights: str = "pretrained",
    seed: int = 0,
    precision: str = "fp32",
    engine: str = "eager",
    **options: Any,
) -> Upstream:
    """An encoder by name, in eval mode.

    name: a name of `audiossl list upstreams`; the path of a checkpoint, of audiossl or of another toolkit; or
    `hf:<repository or folder>`, `fairseq:<file>`, `s3prl:<file>`, `torchaudio:<bundle or file>`.
    weights: 'pretrained', or 'random' for the same architecture with parameters drawn afresh from `seed` (a baseline;
    statistics of the training data, such as a global mean, stay).
    precision: 'fp32' or 'bf16'; engine: 'eager', 'compile' (torch), 'onnx' (ONNX Runtime) or 'openvino', of which the
    latter three are for frozen encoders and run each item without padding. See `audiossl.encoders.engines.running`.
    options: fields of the upstream's configuration.
    Raises UnknownNameError, ConfigError, CheckpointError; never returns random weights unless asked to.

    >>> load_upstream("log_mel").widths
    (80,)
    """

    if weights not in ("pretrained", "random"):
        raise ConfigError(f"weights={weights!r}: choose 'pretrained' or 'random'.")
    if name not in UPSTREAMS and (":" in name or Path(name).exists() or "/" in name):
        upstream = load_from_reference(name, options, random_init=weights == "random", seed=seed)
    else:
        upstream = _load_named(name, options, random_init=weights == "random", seed=seed)
    upstream = upstream.eval()
    if (precision, engine) == ("fp32", "eager"):
        return upstream
    from audiossl.encoders.engines.running import with_engine

    return with_engine(upstream, engine, precision)


def _load_named(name: str, options: Mapping[str, Any], *, random_init: bool, seed: int) -> Upstream:
    from audiossl.encoders.hub import packaged_weights, published
    from audiossl.encoders.weights import load_upstream_weights

    card = UPSTREAMS.card(name)
    weights: str = getattr(card, "weights", "")
    if published(weights) and not random_init:
        return _load_published(card, options)
    options = {**passed_on(name, random_init=random_init, seed=seed), **options}
    upstream = build_upstream(name, {**card.options, **options}, seed)
    if random_init:
        if weights and not published(weights):
            load_upstream_weights(upstream, packaged_weights(card, UPSTREAMS.owner(name)), buffers_only=True)
        return upstream
    if getattr(card, "architecture", False):
        raise CheckpointError(
            f"{name!r} names an architecture without weights: load a checkpoint by its path, or ask for random ones "
            f"with weights='random'."
        )
    if weights:
        path = packaged_weights(card, UPSTREAMS.owner(name))
        load_upstream_weights(upstream, path, getattr(card, "sha256", ""))
    return upstream


def _load_published(card: Card, options: Mapping[str, Any]) -> Upstream:
    """Weights from where they are published; their shape must be what the card says."""
    from audiossl.core.tensors import config_of
    from audiossl.encoders.formats.loading import load_original
    from audiossl.encoders.hub import local_path

    weights: str = getattr(card, "weights", "")
    path, source = local_path(weights)
    upstream = load_original(path, source, {**_behaviour(card), **options})
    expected = {key: value for key, value in card.options.items() if key not in options}
    if wrong := differences(config_of(upstream), expected):
        raise CheckpointError(f"{weights} is not what the card of {card.name!r} describes: {'; '.join(wrong)}.")
    upstream.name = card.name
    return upstream


def _behaviour(card: Card) -> dict[str, Any]:
    """What a card decides and a file need not know: whether the waveform is normalised."""
    return {key: card.options[key] for key in ("normalize",) if key in card.options}
