"""Folders that `transformers` wrote: config.json, preprocessor_config.json and the weights."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audiossl.core.errors import CheckpointError, ConfigError, first_line
from audiossl.core.tensors import config_of
from audiossl.encoders.building import build_upstream
from audiossl.encoders.formats.converter import Converter
from audiossl.encoders.formats.original import Original, preprocessor_of, require_merged
from audiossl.encoders.formats.pickled import refused
from audiossl.encoders.hub import read_described, shards_of
from audiossl.encoders.upstream import Upstream
from audiossl.upstreams.huggingface.kinds import Kind, import_transformers, kind_of
from audiossl.upstreams.huggingface.model import HuggingFace, HuggingFaceConfig, make_config

# Not needed to build the encoder again: labels, provenance, the stored precision, tables that are computed from the
# rest, and what generates text.
_DROPPED = {
    "architectures",
    "auto_map",
    "begin_suppress_tokens",
    "dtype",
    "feature_extractor_type",
    "id2label",
    "label2id",
    "mel_filters",
    "processor_class",
    "suppress_tokens",
    "task_specific_params",
    "torch_dtype",
    "transformers_version",
    "window",
}


def family_of(original: Original) -> str:
    """'huggingface' for every folder of transformers, else ''. Which model types can be read is for `load` to say."""
    return "huggingface" if original.kind == "huggingface" else ""


def load(family: str, original: Original, options: Mapping[str, Any], random_init: bool = False) -> Upstream:
    """As `load_folder`. Raises CheckpointError, ConfigError.

    family: 'huggingface'.
    original: the folder.
    options: normalize alone, as in `load_folder`.
    random_init: draw the parameters afresh.
    """
    if unknown := sorted(options.keys() - {"normalize"}):
        raise ConfigError(f"{original.path} is read by transformers, which has no option {', '.join(unknown)}.")
    upstream = load_folder(original.path, **options)
    return build_upstream("huggingface", config_of(upstream), seed=0) if random_init else upstream


# Families of audiossl with their own code for a model type come before this one.
CONVERTER = Converter(("huggingface",), family_of, load, is_fallback=True)


def load_folder(folder: Path, *, normalize: bool | None = None) -> HuggingFace:
    """The encoder of a local folder, in eval mode. Heads and decoders are left behind, and no code of it is run.

    normalize: whether a model of the waveform is given it with zero mean and unit variance, instead of what the
    preprocessor's file says. Raises CheckpointError, ConfigError.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is no model folder of transformers: it has no config.json.")
    described = read_described(folder / "config.json")
    require_merged(folder)  # transformers would put them on a base model that it looks for
    kind = kind_of(described.get("model_type"))
    extractor = _extractor_settings(folder, kind, normalize)
    model = _read_encoder(folder, kind, described)
    upstream = HuggingFace(HuggingFaceConfig(_plain(model.config.to_dict()), extractor), model)
    upstream.name = "huggingface"
    return upstream.eval()


def _extractor_settings(folder: Path, kind: Kind, normalize: bool | None) -> dict[str, Any]:
    """Arguments of the preprocessor, from its own file or from that of the whole processor."""
    described = preprocessor_of(folder)
    if described is None and (normalize is None or not kind.takes_waveform):
        raise CheckpointError(
            f"{folder} has no preprocessor_config.json, which says what the model reads: get it"
            + (", or say normalize=True or False." if kind.takes_waveform else ".")
        )
    settings = _plain(described or {})
    if normalize is not None:
        if not kind.takes_waveform:
            raise ConfigError(f"{folder}: normalize is for models of the waveform; this one reads spectra.")
        settings["do_normalize"] = normalize
    return settings


def _read_encoder(folder: Path, kind: Kind, described: dict[str, Any]) -> Any:
    """The encoder with its weights, every one of them from the folder."""
    config = make_config(kind, described)
    for name, value in kind.unread.items():
        setattr(config, name, value)
    reader = kind.load_class(kind.loader or kind.encoder)
    options: dict[str, Any] = {"config": config, "dtype": torch.float32, "local_files_only": True}
    if kind.renamed:
        options["key_mapping"] = dict(kind.renamed)
    for index in folder.glob("*.index.json"):
        shards_of(index)  # transformers would follow it to any folder
    # By transformers' own reader, which says what it did not find.
    try:
        with quiet_transformers():
            whole, found = reader.from_pretrained(str(folder), output_loading_info=True, **options)
    except pickle.UnpicklingError as error:  # whose message advises to run the file
        raise refused(folder) from error
    except Exception as error:  # transformers, safetensors and torch raise their own, at times of many lines
        reason = first_line(error)
        raise CheckpointError(f"The weights in {folder} cannot be read as {reader.__name__}: {reason}") from error
    require_merged(folder, found["unexpected_keys"])
    # A head may be missing, the encoder may not.
    prefix = f"{kind.part}." if kind.part else ""
    missing = sorted(name for name in found["missing_keys"] if name.startswith(prefix))
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise CheckpointError(f"The weights in {folder} are not all of the encoder {kind.encoder}; missing: {shown}.")
    encoder: nn.Module = whole.get_submodule(kind.part)
    return encoder


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the report on heads left behind and without progress bars."""
    import_transformers()
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in fields.items() if key not in _DROPPED and not key.startswith("_")}
    made: dict[str, Any] = json.loads(json.dumps(kept))
    return made
