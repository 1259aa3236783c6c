"""`audiossl describe` and `audiossl doctor`."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from audiossl.core.cards import UpstreamCard
from audiossl.core.errors import UnknownNameError, did_you_mean
from audiossl.core.registry import REGISTRIES, Registry

if TYPE_CHECKING:
    from audiossl.encoders.upstream import Upstream

_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino", "transformers": "hf", "peft": "lora"}


class Finding(NamedTuple):
    """One line of `audiossl doctor`."""

    status: Literal["ok", "missing", "wrong"]
    check: str
    found: str
    fix: str = ""


def describe_name(name: str) -> dict[str, Any]:
    """A card as plain data, with what the code adds for an encoder. A checkpoint's facts by its path or source.

    A name that several kinds share stands for the first of them (upstream, downstream, interface, objective), and
    `also` has the others. `kind:name` chooses. Raises UnknownNameError, CheckpointError.
    """
    kind, _, plain = name.partition(":")
    asked = {registry.kind: registry for registry in REGISTRIES}.get(kind)
    if asked and plain:
        return _card_facts(asked, plain)
    found = [registry for registry in REGISTRIES if name in registry]
    if found:
        also = [f"{other.kind}:{name}" for other in found[1:]]
        return _card_facts(found[0], name) | ({"also": also} if also else {})
    if Path(name).exists() or ":" in name:
        return {"kind": "upstream", "name": name} | _upstream_facts(name)
    known = [known for registry in REGISTRIES for known in registry.names()]
    raise UnknownNameError(f"There is nothing named {name!r}. {did_you_mean(name, known)}")


def _card_facts(registry: Registry, name: str) -> dict[str, Any]:
    card = registry.card(name)
    facts: dict[str, Any] = {"kind": registry.kind, **card.as_json(), "owner": registry.owner(name)}
    return facts | (_upstream_facts(name, card) if isinstance(card, UpstreamCard) else {})


def _upstream_facts(name: str, card: UpstreamCard | None = None) -> dict[str, Any]:
    from audiossl.encoders.hub import published
    from audiossl.encoders.loading import load_upstream

    if card is not None and (card.architecture or published(card.weights)):
        if not card.num_parameters:  # an architecture without a size of its own
            return {}
        upstream = _without_weights(card)
    else:
        upstream = load_upstream(name)
    return {
        "layers": upstream.num_layers,
        "widths": list(dict.fromkeys(upstream.widths)),
        "sample_rate_hz": upstream.sample_rate_hz,
        "frame_rate_hz": upstream.frame_rate_hz,
        "receptive_field_ms": 1000 * upstream.receptive_field / upstream.sample_rate_hz,
        "parameters": sum(p.numel() for p in upstream.parameters()),
    }


def _without_weights(card: UpstreamCard) -> Upstream:
    """The encoder that a card describes, with shapes but no numbers: nothing is fetched or drawn."""
    import torch

    from audiossl.encoders.building import build_upstream

    with torch.device("meta"):
        return build_upstream(card.name, card.options, seed=0)


def diagnose() -> list[Finding]:
    """What a user needs to know when something does not work."""
    findings = [Finding("ok", "python", platform.python_version())]
    findings += [_package(name) for name in ("torch", "numpy", "soundfile", "soxr", "lhotse", "accelerate")]
    findings.append(_torchaudio())
    findings += [_probe("sound formats", _sound_library), _probe("devices", _devices), _probe("cache folder", _cache)]
    findings += [_extra(name, extra) for name, extra in _EXTRAS.items()]
    return findings


def _probe(check: str, look: Callable[[], Finding]) -> Finding:
    """What `look` finds; whatever it raises is a finding too."""
    try:
        return look()
    except Exception as error:
        return Finding("wrong", check, f"cannot be found out ({_first_line(error)}).")


def _package(name: str) -> Finding:
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises OSError, RuntimeError, anything
        return Finding("wrong", name, f"does not import ({_first_line(error)}).", f"Run: pip install --force {name}")
    return Finding("ok", name, version(name))


def _torchaudio() -> Finding:
    """torch and torchaudio are built as pairs; nothing that is needed to train fails without torchaudio."""
    try:
        torch, audio = version("torch"), version("torchaudio")
    except PackageNotFoundError:
        return Finding("missing", "torchaudio", "not installed: only functions that need it are affected.")
    pair = f"{audio} with torch {torch}"
    fix = f"Encoders and training work without it. Run: pip install torchaudio=={torch.split('+')[0]}"
    try:
        importlib.import_module("torchaudio")
    except Exception as error:
        return Finding("missing", "torchaudio", f"{pair} does not import ({_first_line(error)}).", fix)
    if torch.split("+")[0].split(".")[:2] != audio.split("+")[0].split(".")[:2]:
        return Finding("missing", "torchaudio", f"{pair}: not a matching pair.", fix)
    return Finding("ok", "torchaudio", pair)


def _sound_library() -> Finding:
    import soundfile

    formats = sorted(set(soundfile.available_formats()) & {"WAV", "FLAC", "OGG", "MP3"})
    return Finding("ok", "sound formats", f"{', '.join(formats)} ({soundfile.__libsndfile_version__})")


def _devices() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cpu = f"CPU with {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return Finding("ok", "devices", ", ".join([*names, cpu]))


def _cache() -> Finding:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE)
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    if not os.access(there, os.W_OK):
        return Finding("wrong", "cache folder", f"{folder} cannot be written.", "Set HF_HOME to a folder that can.")
    return Finding("ok", "cache folder", f"{folder} ({free_gb:.0f} GB free)")


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding("ok", name, version(name))
    except PackageNotFoundError:
        return Finding("missing", name, f"optional. Run: pip install audiossl-toolkit[{extra}]")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().split("\n")[0]
