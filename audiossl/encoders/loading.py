"""An encoder by name, by path or by reference, with its weights: a card's, a file's, or as a run trained them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.core.cards import Card
from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError, first_line
from audiossl.core.joined_names import names_in, options_of_parts, require_known
from audiossl.core.registry import DOWNSTREAMS, UPSTREAMS, import_target
from audiossl.core.tensors import config_of, fingerprint, load_strict, read_tensors
from audiossl.encoders.building import build_upstream, passed_on, require_shapes
from audiossl.encoders.encoder_file import RUN_NAME, UPSTREAM_NAME, EncoderFile, has_encoder_file, read_encoder_file
from audiossl.encoders.engines.running import with_engine
from audiossl.encoders.exported.loading import KINDS, load_exported
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable, merge_lora
from audiossl.encoders.formats.loading import load_original
from audiossl.encoders.hub import local_path, packaged_weights, published
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.listed import is_listed, require_whole
from audiossl.encoders.naming import named_by, namer_of
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.weights import described_encoder, load_state, load_upstream_weights


def load_upstream(
    name: str,
    /,  # an option of that name, which may come from a file, is an option
    *,
    weights: str = "pretrained",
    seed: int = 0,
    precision: str = "fp32",
    engine: str = "eager",
    **options: Any,
) -> Upstream:
    """An encoder by name, in eval mode.

    name: a name of `audiossl list upstreams`, the path of a checkpoint of audiossl or of another toolkit, or one of
    `hf:<repository or folder>`, `fairseq:<file>`, `s3prl:<file>`, `torchaudio:<bundle or file>`, `onnx:<file>`,
    `torchscript:<file>`. The options of the latter two are the fields of `audiossl.encoders.exported.config`. A
    repository is one of transformers, or an encoder or a run that `audiossl push` has sent. Downstreams add others,
    such as `extractor:<run>` for the embedding of a run of speaker_verification (`Card.references`). Several that are
    written with " + " between them are joined (`audiossl.encoders.joined`): options of one are under its name.
    weights: 'pretrained', or 'random' for a baseline: the same architecture with parameters drawn afresh. Statistics of
    the training data, such as a global mean, stay.
    seed: of random weights.
    precision: 'fp32' or 'bf16'.
    engine: 'eager', 'compile' (torch), 'onnx' (ONNX Runtime) or 'openvino'. The latter three are for frozen encoders
    and run each item without padding. See `audiossl.encoders.engines.running`.
    options: fields of the upstream's configuration.
    Raises UnknownNameError, ConfigError, CheckpointError. Random weights come only where they are asked for.

    >>> load_upstream("log_mel").widths
    (80,)
    """
    if weights not in ("pretrained", "random"):
        raise ConfigError(f"weights={weights!r}: choose 'pretrained' or 'random'.")
    if len(names_in(name)) > 1 and not Path(name).exists():
        how = {"weights": weights, "seed": seed, "precision": precision, "engine": engine}
        return _load_joined(name, {**how, **options})
    # A registered name goes before a file of that name.
    if name not in UPSTREAMS and (":" in name or Path(name).exists() or "/" in name):
        upstream = load_from_reference(name, options, random_init=weights == "random", seed=seed)
    else:
        upstream = _load_named(name, options, random_init=weights == "random", seed=seed)
    upstream = upstream.eval()
    if (precision, engine) == ("fp32", "eager"):
        return upstream
    return with_engine(upstream, engine, precision)


def _load_joined(name: str, options: Mapping[str, Any]) -> JoinedUpstream:
    """Several encoders as one. Raises ConfigError for those that do not go together, and for options of nobody."""
    names, key = names_in(name), "upstream_options"
    require_known(options, ("join", "weights", "seed", "precision", "engine"), names, key=key)
    own = {option: value for option, value in options.items() if option != "join"}
    parts = zip(names, options_of_parts(names, own, key=key), strict=True)
    return JoinedUpstream([load_upstream(part, **given) for part, given in parts], options.get("join", "frames")).eval()


def _load_named(name: str, options: Mapping[str, Any], *, random_init: bool, seed: int) -> Upstream:
    """The encoder of a card, with the weights that the card names. Raises CheckpointError, ConfigError."""
    card = UPSTREAMS.card(name)
    weights: str = getattr(card, "weights", "")
    if published(weights) and not random_init:
        return _load_published(card, options)
    options = {**passed_on(name, random_init=random_init, seed=seed), **options}
    upstream = build_upstream(name, {**card.options, **options}, seed)
    # Of random weights, what is no parameter still comes from the file.
    if random_init:
        if weights and not published(weights):
            load_upstream_weights(upstream, packaged_weights(card, UPSTREAMS.owner(name)), buffers_only=True)
        return upstream
    if weights:
        path = packaged_weights(card, UPSTREAMS.owner(name))
        load_upstream_weights(upstream, path, getattr(card, "sha256", ""))
    elif getattr(card, "architecture", False) or _depends_on_seed(upstream, name, {**card.options, **options}, seed):
        raise CheckpointError(
            f"{name!r} names an architecture without weights: load a checkpoint by its path, or ask for random ones "
            f"with weights='random'."
        )
    return upstream


def _depends_on_seed(upstream: Upstream, name: str, options: Mapping[str, Any], seed: int) -> bool:
    """Whether an encoder for which nobody named weights was drawn at random.

    Only another draw tells: its constructor may load weights of its own.
    """
    if next(upstream.parameters(), None) is None:
        return False
    return fingerprint(build_upstream(name, options, seed + 1)) != fingerprint(upstream)


def _load_published(card: Card, options: Mapping[str, Any]) -> Upstream:
    """Weights from where they are published. Raises CheckpointError where their shape is not what the card says."""
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
    """An encoder from a path (of our own or of another toolkit), or from `<toolkit>:<file, folder or repository>`.

    reference: as `load_upstream` takes it.
    options: fields of the encoder's configuration to change.
    random_init: the same architecture with parameters drawn afresh.
    seed: of these parameters.
    Raises CheckpointError, ConfigError.
    """
    namer = namer_of(reference)
    if (address := _address_of(reference)) is not None:
        if options or random_init:
            raise ConfigError(f"{reference} is as it was trained; leave the upstream's options out.")
        loaded: Upstream = import_target(address)(reference.partition(":")[2])
        return loaded
    path, source = local_path(reference, namer)
    if kind := source if source in KINDS else "onnx" if not source and path.suffix.lower() == ".onnx" else "":
        return load_exported(kind, path, options, namer=namer, random_init=random_init)
    if not source and is_listed(path):
        require_whole(path)
    # The folder of a run, before its pre-training has written the whole encoder.
    if not source and path.is_dir() and not (path / UPSTREAM_NAME).is_file():
        if has_encoder_file(path):
            return _load_trained(path, options, random_init=random_init, seed=seed)
        if (path / RUN_NAME).is_file():
            raise _without_encoder(path)
    # A folder is ours where our file is in it, unless it looks like one of transformers.
    ours = (path / UPSTREAM_NAME).is_file() and not (path / "config.json").is_file()
    own = path / UPSTREAM_NAME if ours else path
    if source or own.suffix != ".safetensors":
        return load_original(path, source, options, random_init=random_init)
    state, description = read_tensors(own)
    if "upstream" not in description:
        return load_original(path, source, options, random_init=random_init)
    return _load_own(own, state, description, options, random_init=random_init, seed=seed)


def _address_of(reference: str) -> str | None:
    """What loads a reference whose first word a card of a downstream has. None for the others, and for a path."""
    word, _, rest = reference.partition(":")
    if not rest or Path(reference).exists():
        return None
    cards = map(DOWNSTREAMS.card, DOWNSTREAMS.names())
    return next((card.references[word] for card in cards if word in card.references), None)


def _load_own(
    path: Path,
    state: Mapping[str, Tensor],
    description: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    random_init: bool,
    seed: int,
) -> Upstream:
    """The encoder of a file of our own. Raises CheckpointError, ConfigError.

    path: of the file.
    state: its tensors.
    description: what it says of itself.
    options: of the user, which go before its own.
    random_init: draw the parameters afresh.
    seed: of these parameters.
    """
    name, said = described_encoder(description, path)
    again = passed_on(name, random_init=True, seed=seed) if random_init else {}
    # The file names registered plug-ins, never code, a path or an address: it must not choose what runs or is read.
    with named_by(path, asked=options):
        require_shapes(name, {**said, **options}, state, f"the {name} that {path} describes")
        try:
            upstream = build_upstream(name, {**said, **again, **options}, seed)
        except AudiosslError:
            raise
        except Exception as error:  # a constructor's own, about values that it cannot use
            raise CheckpointError(f"{path} describes a {name} that cannot be built ({first_line(error)}).") from error
    load_state(upstream, state, buffers_only=random_init)
    return upstream


def _load_trained(folder: Path, options: Mapping[str, Any], *, random_init: bool, seed: int) -> Upstream:
    """The encoder as training left it in a folder, LoRA merged. Raises CheckpointError, ConfigError."""
    with named_by(folder, paths=True):
        return _as_trained(folder, read_encoder_file(folder), options, random_init=random_init, seed=seed)


def _as_trained(
    folder: Path, file: EncoderFile, options: Mapping[str, Any], *, random_init: bool, seed: int
) -> Upstream:
    """The encoder of a folder, or that of the one run below it, as its encoder.json says.

    folder: of the run.
    file: what it says.
    options, random_init, seed: as the user wants it, which a trained encoder leaves no room for.
    """
    if len(file.runs) > 1:
        raise ConfigError(
            f"{folder} is a cross-validation; name the run of one of its folds, for instance {folder / file.runs[0]}."
        )
    if file.upstream and (options or random_init):
        raise ConfigError(f"{folder} is a run, whose encoder is as it was trained; leave the upstream's options out.")
    if file.runs:
        return _load_trained(folder / file.runs[0], options, random_init=random_init, seed=seed)
    if not file.upstream and not file.weights:
        raise CheckpointError(
            f"No member of the sweep {folder} is finished; go on with `audiossl train --resume {folder}`."
        )
    if not file.upstream:
        raise CheckpointError(
            f"{folder} has no {file.weights}, for its pre-training has not ended; go on with `audiossl pretrain "
            f"--resume {folder}`."
        )
    # The encoder that training began with, then what it changed, then LoRA's products added to the weights.
    upstream = load_upstream(file.upstream, **file.options)
    require_fingerprint(fingerprint(upstream), file.fingerprint, file.upstream, folder)
    if not (folder / file.weights).is_file():
        raise CheckpointError(f"{folder} has no {file.weights} yet; go on with `audiossl train --resume {folder}`.")
    tensors, _ = read_tensors(folder / file.weights)
    state = {name.removeprefix(file.prefix): value for name, value in tensors.items() if name.startswith(file.prefix)}
    with torch.random.fork_rng(devices=[]):  # what LoRA draws is overwritten at once
        if isinstance(upstream, JoinedUpstream):
            upstream.read_to(file.depths or upstream.depths)
        make_trainable(upstream, structured(FinetuneConfig, file.finetune), file.up_to_layer)
    trained = {name: value for name, value in upstream.named_parameters() if value.requires_grad}
    expected = upstream.state_dict() if file.whole else trained
    load_strict(upstream, state, expected=expected, what=f"the encoder {file.upstream!r}, fine-tuned as {folder} says")
    if isinstance(upstream, JoinedUpstream):  # whoever reads it next may read all layers
        upstream.read_to([None] * len(upstream.parts))
    return merge_lora(upstream).requires_grad_(True)


def _without_encoder(folder: Path) -> CheckpointError:
    return CheckpointError(
        f"{folder} does not say which encoder it has: an earlier version of audiossl wrote it; `audiossl evaluate "
        f"{folder}` adds encoder.json to a trained head, `audiossl pretrain --resume {folder}` ends a pre-training."
    )


def require_fingerprint(found: str, expected: str, name: str, folder: Path) -> None:
    """Raise CheckpointError where an encoder is not the one that a run was trained with.

    found: the fingerprint of the encoder as it was loaded.
    expected: the one that the run has.
    name: what it was loaded by, for the error.
    folder: of the run, for the error.
    """
    if found != expected:
        raise CheckpointError(
            f"The upstream {name!r} is not the one that {folder} was trained with (its weights or settings changed); "
            f"restore it, or train again."
        )
