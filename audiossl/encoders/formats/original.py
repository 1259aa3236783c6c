"""What a checkpoint of another toolkit is, and what describes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import read_tensors
from audiossl.encoders.encoder_file import UPSTREAM_NAME
from audiossl.encoders.formats.pickled import plain, read_pickled
from audiossl.encoders.hub import read_described, shards_of

_WEIGHTS = ("state_dict", "model_state_dict", "model")  # what trainers call the weights in their files

# Names of tensors that peft adds to a model, and of those that it wraps.
_ADAPTERS = re.compile(r"(^|.*\.)(base_layer|lora_\w+|ia3_\w+|hada_\w+|lokr_\w+|oft_\w+|vera_\w+)(\..*|$)")


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
    # Nothing but weights, perhaps under some keys.
    found = _weights_in(content)
    if found is not content:
        return Original(path, _kind_of_names(found), _torchaudio_json(path), content, lambda: found)
    if (path.parent / "config.json").is_file() and path.name.startswith("pytorch_model"):
        return _huggingface(path.parent)
    return Original(path, _kind_of_names(content), _torchaudio_json(path), content, lambda: content)


def _weights_in(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping that holds a model's tensors: the content itself, or that under one of its keys, however deep.

    The names that trainers write go before others. Of several others, which one is meant is not known: the content.
    """
    if _holds_weights(content):
        return content
    for key in _WEIGHTS:
        if isinstance(content.get(key), Mapping):
            return _weights_in(content[key])
    held = [
        part for value in content.values() if isinstance(value, Mapping) and _holds_weights(part := _weights_in(value))
    ]
    return held[0] if len(held) == 1 else content


def _holds_weights(content: Mapping[str, Any]) -> bool:
    # The tensors of an optimizer have no module in front of their names.
    return any(isinstance(value, Tensor) and "." in str(name) for name, value in content.items())


def _kind_of_names(state: Mapping[str, Any]) -> str:
    return "torchaudio" if any(".transformer.layers." in name for name in state) else "state_dict"


def _torchaudio_json(path: Path) -> dict[str, Any]:
    """The arguments of torchaudio's factory, where a JSON file beside the weights holds them (AVES, BirdAVES)."""
    beside = path.with_name(f"{path.name.removesuffix('.pt')}.model_config.json")
    if not beside.is_file():
        return {}
    return {"torchaudio": read_described(beside)}


def _huggingface(folder: Path) -> Original:
    require_merged(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has neither {UPSTREAM_NAME} nor config.json; name a file in it instead.")
    described = {"config": read_described(folder / "config.json")}
    preprocessor = preprocessor_of(folder)
    if preprocessor is not None:
        described["preprocessor"] = preprocessor
    return Original(folder, "huggingface", described, {}, lambda: _huggingface_state(folder))


def preprocessor_of(folder: Path) -> dict[str, Any] | None:
    """What a folder of transformers says of its preprocessor, in a file of its own or in that of the whole processor.

    None where it says nothing. Raises CheckpointError for a damaged file.
    """
    if (folder / "preprocessor_config.json").is_file():
        return read_described(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        inner = read_described(folder / "processor_config.json").get("feature_extractor")
        return inner if isinstance(inner, dict) else None
    return None


def require_merged(path: Path, names: Iterable[str] = ()) -> None:
    """Raise CheckpointError where adapters of peft lie beside a model, or among its tensors.

    How strongly they act is not in their tensors, so that only peft can put them into the weights.

    path: of the file or folder.
    names: of the tensors in it.
    """
    if (path / "adapter_config.json").is_file() or any(_ADAPTERS.fullmatch(name) for name in names):
        raise CheckpointError(
            f"{path} holds adapters of peft: merge them into their model (merge_and_unload) and save that."
        )


def _huggingface_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of a transformers folder: one file or shards, safetensors before pickles."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        files = [name]
        if index.is_file():
            files = shards_of(index)
        elif not (folder / name).is_file():
            continue
        parts = [
            read_tensors(folder / file)[0] if file.endswith(".safetensors") else read_pickled(folder / file)
            for file in files
        ]
        return {key: value for part in parts for key, value in part.items()}
    raise CheckpointError(f"{folder} has no weights (model.safetensors or pytorch_model.bin).")
