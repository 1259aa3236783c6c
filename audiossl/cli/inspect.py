"""`audiossl describe` and `audiossl doctor`."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from audiossl.core.cards import UpstreamCard
from audiossl.core.errors import ConfigError, UnknownNameError, did_you_mean, first_line
from audiossl.core.files import cache_folder
from audiossl.core.registry import REGISTRIES, Registry

if TYPE_CHECKING:
    from audiossl.encoders.upstream import Upstream

_EXTRAS = {
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "transformers": "hf",
    "peft": "lora",
    "datasets": "datasets",
    "av": "video",
    "audiomentations": "augment",
    "submitit": "slurm",
    "ray": "ray",
}


class Finding(NamedTuple):
    """One line of `audiossl doctor`."""

    status: Literal["ok", "missing", "wrong"]
    check: str
    found: str
    fix: str = ""


def describe_name(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A card as plain data, with its settings and what the code adds for an encoder. A checkpoint's facts by its path.

    A name that several kinds share stands for the first of them (upstream, downstream, interface, objective), and
    `also` has the others. `kind:name` chooses.

    name: what is described.
    options: the encoder's own.
    Raises UnknownNameError, CheckpointError, ConfigError.
    """
    options = options or {}
    kind, _, plain = name.partition(":")
    asked = {registry.kind: registry for registry in REGISTRIES}.get(kind)
    if asked and plain:
        return _card_facts(asked, plain, options)
    found = [registry for registry in REGISTRIES if name in registry]
    if found:
        also = [f"{other.kind}:{name}" for other in found[1:]]
        return _card_facts(found[0], name, options) | ({"also": also} if also else {})
    if Path(name).exists() or ":" in name:
        return {"kind": "upstream", "name": name} | _upstream_facts(name, options)
    known = [known for registry in REGISTRIES for known in registry.names()]
    raise UnknownNameError(f"There is nothing named {name!r}. {did_you_mean(name, known)}")


def _card_facts(registry: Registry, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    card = registry.card(name)
    facts: dict[str, Any] = {"kind": registry.kind, **card.as_json(), "owner": registry.owner(name)}
    if options and not isinstance(card, UpstreamCard):
        raise ConfigError(f"--option is for encoders, which {name!r} is not; leave it out.")
    if isinstance(card, UpstreamCard):
        try:
            facts |= _upstream_facts(name, options, card)
        except ConfigError as error:
            if options:
                raise
            # It has no size before an option is set. Which one it is is what the user wants to read here.
            facts["layers"] = f"unknown before an option is set: {error}"
    return facts | _settings(registry.kind, name)


def _settings(kind: str, name: str) -> dict[str, Any]:
    from audiossl.core.settings import leaves
    from audiossl.experiments.settings import plugin_settings

    settings = [setting.as_json() for setting in leaves(plugin_settings(kind, name))]
    return {"settings": settings} if settings else {}


def _upstream_facts(name: str, options: Mapping[str, Any], card: UpstreamCard | None = None) -> dict[str, Any]:
    from audiossl.encoders.hub import published
    from audiossl.encoders.loading import load_upstream

    if card is not None and (card.architecture or published(card.weights)):
        if not card.num_parameters and not options:  # an architecture without a size of its own
            return {}
        upstream = _without_weights(card, options)
    else:
        # Where nobody names weights, there may be none. The facts are the same.
        drawn = {"weights": "random"} if card is not None and not card.weights else {}
        upstream = load_upstream(name, **{**drawn, **options})
    return {
        "layers": upstream.num_layers,
        "widths": list(dict.fromkeys(upstream.widths)),
        "sample_rate_hz": upstream.sample_rate_hz,
        "frame_rate_hz": upstream.frame_rate_hz,
        "receptive_field_ms": 1000 * upstream.receptive_field / upstream.sample_rate_hz,
        "parameters": sum(p.numel() for p in upstream.parameters()),
    }


def _without_weights(card: UpstreamCard, options: Mapping[str, Any]) -> Upstream:
    """The encoder that a card describes, with shapes but no numbers: nothing is fetched or drawn."""
    import torch

    from audiossl.encoders.building import build_upstream

    # How it is loaded changes none of the facts.
    shaped = {key: value for key, value in options.items() if key not in ("weights", "seed", "precision", "engine")}
    with torch.device("meta"):
        return build_upstream(card.name, {**card.options, **shaped}, seed=0)


def diagnose() -> list[Finding]:
    """What a user needs to know when something does not work."""
    findings = [Finding("ok", "python", platform.python_version())]
    findings += [_package(name) for name in ("torch", "numpy", "soundfile", "soxr", "lhotse", "accelerate")]
    findings.append(_torchaudio())
    findings += [_probe("sound formats", _sound_library), _probe("devices", _devices)]
    findings += [_probe("cache folder", _own_cache), _probe("hub cache", _hub_cache)]
    findings += [_extra(name, extra) for name, extra in _EXTRAS.items()]
    return findings


def _probe(check: str, look: Callable[[], Finding]) -> Finding:
    """What `look` finds. Whatever it raises is a finding too."""
    try:
        return look()
    except Exception as error:
        return Finding("wrong", check, f"cannot be found out ({first_line(error)}).")


def _package(name: str) -> Finding:
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises OSError, RuntimeError, anything
        return Finding("wrong", name, f"does not import ({first_line(error)}).", f"Run: pip install --force {name}")
    return Finding("ok", name, version(name))


def _torchaudio() -> Finding:
    """It knows where its bundles lie, and nothing else asks it. Its last release is older than torch may be."""
    try:
        found = version("torchaudio")
    except PackageNotFoundError:
        return Finding("missing", "torchaudio", "optional, for torchaudio:<bundle>. Run: pip install torchaudio")
    try:
        importlib.import_module("torchaudio")
    except Exception as error:
        pair = f"{found} with torch {version('torch')}"
        fix = "Nothing but torchaudio:<bundle> needs it. Run: pip uninstall torchaudio"
        return Finding("missing", "torchaudio", f"{pair} does not import ({first_line(error)}).", fix)
    return Finding("ok", "torchaudio", found)


def _sound_library() -> Finding:
    import soundfile

    formats = sorted(set(soundfile.available_formats()) & {"WAV", "FLAC", "OGG", "MP3"})
    return Finding("ok", "sound formats", f"{', '.join(formats)} ({soundfile.__libsndfile_version__})")


def _devices() -> Finding:
    import torch

    from audiossl.encoders.devices import best_device

    kind = best_device().type
    names = ["Apple's GPU"] if kind == "mps" else []
    if kind in ("cuda", "xpu"):
        module = torch.get_device_module(kind)
        names = [module.get_device_name(number) for number in range(module.device_count())]
    cpu = f"CPU with {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return Finding("ok", "devices", ", ".join([*names, cpu]))


def _own_cache() -> Finding:
    """Of what audiossl computes and fetches itself: hidden states, graphs, checksums."""
    return _folder("cache folder", cache_folder(), "AUDIOSSL_CACHE")


def _hub_cache() -> Finding:
    """Of what is fetched from Hugging Face."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return _folder("hub cache", Path(HF_HUB_CACHE), "HF_HOME")


def _folder(check: str, folder: Path, variable: str) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        return Finding("wrong", check, f"{folder} cannot be written.", f"Set {variable} to a folder that can.")
    return Finding("ok", check, f"{folder} ({free_gb:.0f} GB free)")


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("missing", name, f"optional. Run: pip install audiossl-toolkit[{extra}]")
