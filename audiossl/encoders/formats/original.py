"""What a checkpoint of another toolkit is, and what describes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import read_tensors
from audiossl.encoders.encoder_file import UPSTREAM_NAME
from audiossl.encoders.formats.pickled import plain, read_pickled


@dataclass(frozen=True)
class Original:
    """A checkpoint of another toolkit.

    path: of the file or folder.
    kind: 'fairseq', 's3prl', 'microsoft', 'torchaudio', 'huggingface' or 'state_dict' (tensors and nothing else).
    described: its configuration as plain data, by section.
    content: all that a torch file holds.
    read: gives the weights.
    """

    path: Path
    kind: str
    described: Mapping[str, Any]
    content: Mapping[str, Any]
    read: Callable[[], Mapping[str, Tensor]]

    @cached_property
    def state(self) -> Mapping[str, Tensor]:
        """The weights, under the other toolkit's names, read when first asked for."""
        return self.read()


def read_original(path: Path) -> Original:
    """What a file or folder of another toolkit is, and what describes it. Raises CheckpointError."""
    if path.is_dir():
        return _huggingface(path)
    if path.suffix == ".safetensors":
        tensors = read_tensors(path)[0]
        if (path.parent / "config.json").is_file():
            return _huggingface(path.parent)
        return Original(path, _kind_of_names(tensors), _torchaudio_json(path), {}, lambda: tensors)
    content = read_pickled(path)
    return _pickled(path, content)


def _pickled(path: Path, content: Mapping[str, Any]) -> Original:
    """By the parts that each toolkit's trainer writes around the weights."""
    # s3prl: what it trained itself, and what it converted from others.
    if "Distiller" in content or "Transformer" in content:
        part = "Distiller" if "Distiller" in content else "Transformer"
        described = {key: plain(content[key]) for key in ("Config", "Upstream_Config", "Settings") if key in content}
        return Original(path, "s3prl", described, content, lambda: content[part])
    if isinstance(content.get("model_weight"), Mapping):
        described = {"model": plain(content.get("model_cfg")) or {}, "task": plain(content.get("task_cfg")) or {}}
        return Original(path, "s3prl", described, content, lambda: content["model_weight"])
    # fairseq, and Microsoft in its manner: a configuration beside the model, in sections or flat.
    if isinstance(content.get("model"), Mapping) and (content.get("cfg") or content.get("args")) is not None:
        said = plain(content.get("cfg")) or plain(content.get("args"))
        config = dict(said) if isinstance(said, Mapping) else {}
        sections = isinstance(config.get("model"), Mapping)
        microsoft = "cfg" in content and not sections
        described = config if sections else {"model": config, "task": config}
        return Original(path, "microsoft" if microsoft else "fairseq", described, content, lambda: content["model"])
    # Nothing but weights, perhaps under one key.
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content.get(key), Mapping):
            read = partial(itemgetter(key), content)
            return Original(path, _kind_of_names(content[key]), _torchaudio_json(path), content, read)
    if (path.parent / "config.json").is_file() and path.name.startswith("pytorch_model"):
        return _huggingface(path.parent)
    return Original(path, _kind_of_names(content), _torchaudio_json(path), content, lambda: content)


def _kind_of_names(state: Mapping[str, Any]) -> str:
    return "torchaudio" if any(".transformer.layers." in name for name in state) else "state_dict"


def _torchaudio_json(path: Path) -> dict[str, Any]:
    """The arguments of torchaudio's factory, where a JSON file beside the weights holds them (AVES, BirdAVES)."""
    beside = path.with_name(f"{path.name.removesuffix('.pt')}.model_config.json")
    if not beside.is_file():
        return {}
    try:
        return {"torchaudio": dict(json.loads(beside.read_text(encoding="utf-8")))}
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{beside} is not readable JSON ({error}); get it again.") from error


def _huggingface(folder: Path) -> Original:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has neither {UPSTREAM_NAME} nor config.json; name a file in it instead.")
    described = {"config": _json(folder / "config.json")}
    if (folder / "preprocessor_config.json").is_file():
        described["preprocessor"] = _json(folder / "preprocessor_config.json")
    return Original(folder, "huggingface", described, {}, lambda: _huggingface_state(folder))


def _huggingface_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of a transformers folder: one file or shards, safetensors before pickles."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        files = [name]
        if index.is_file():
            files = sorted(set(_json(index)["weight_map"].values()))
        elif not (folder / name).is_file():
            continue
        parts = [
            read_tensors(folder / file)[0] if file.endswith(".safetensors") else read_pickled(folder / file)
            for file in files
        ]
        return {key: value for part in parts for key, value in part.items()}
    raise CheckpointError(f"{folder} has no weights (model.safetensors or pytorch_model.bin).")


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); get it again.") from error
