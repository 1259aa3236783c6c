"""The encoders of a suite: what a user types for one, and what is known of it without loading it again.

`NAME`, a path or a reference as everywhere, `:random` behind it for random weights, and options after commas:
`wav2vec2:random,width=256,num_layers=4`. Several in brackets are joined: `[hubert_base,log_mel],join=pooled`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audiossl.core.cards import UpstreamCard
from audiossl.core.config import parse_overrides
from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.files import cache_folder, read_json, write_json
from audiossl.core.joined_names import joined_name, names_in, options_of_parts
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import fingerprint
from audiossl.encoders.kept import Identified, forget_encoder, keep_encoder
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.identity.code import state_of_package
from audiossl.experiments.identity.encoders import code_of_encoder, identity_of_encoder
from audiossl.experiments.suites.results import EncoderFacts


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder as a user named it.

    label: all that was typed.
    name: of the encoder, a path or a reference.
    options: its own.
    """

    label: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)


def parse_encoder(text: str) -> EncoderChoice:
    """What a user typed for an encoder. Raises ConfigError.

    >>> parse_encoder("wav2vec2:random,width=256").options
    {'weights': 'random', 'width': 256}
    >>> parse_encoder("[tera_mini,log_mel],join=pooled").name
    'tera_mini + log_mel'
    """
    first, *pairs = _parts(text)
    if not first:
        raise ConfigError(f"{text!r} names no encoder; write a name of `audiossl list upstreams`, a path or hf:FOLDER.")
    options = parse_overrides(pairs, example="weights=random")
    name = first.removesuffix(":random")
    if name != first:
        options = {"weights": "random", **options}
    if name.startswith("[") and name.endswith("]"):
        name = joined_name([each.strip() for each in name[1:-1].split(",")], "--upstream")
    return EncoderChoice(text, name, options)


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no brackets.

    >>> _parts("a,b=[1,2],c=3")
    ['a', 'b=[1,2]', 'c=3']
    """
    return re.split(r",(?![^\[{]*[\]}])", text)


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that was loaded once.

    choice: how it was named.
    identity: a hash of its weights, configuration, precision and engine.
    facts: for tables.
    code: a hash of the code that it runs.
    """

    choice: EncoderChoice
    identity: str
    facts: EncoderFacts
    code: str = ""


def known_encoder(choice: EncoderChoice) -> KnownEncoder:
    """Facts of an encoder, which is loaded only where it, or the code that builds it, changed since it was last.

    Raises UnknownNameError, ConfigError, CheckpointError as `load_upstream` does.
    """
    place = cache_folder() / "suites" / "encoders" / f"{_state_of(choice)}.json"
    try:
        stored = read_json(place)
        return KnownEncoder(choice, str(stored["identity"]), EncoderFacts(**stored["facts"]), str(stored["code"]))
    except (AudiosslError, KeyError, TypeError):
        known = _loaded(choice)
    write_json(place, {"identity": known.identity, "facts": asdict(known.facts), "code": known.code})
    return known


def encoder_kept_for(config: Experiment) -> AbstractContextManager[None]:
    """A block in which the encoder of an experiment stays loaded, as in the blocks after it, unless it is trained."""
    if config.finetune.mode != "none":
        forget_encoder()
        return nullcontext()
    return keep_encoder(_state_of(EncoderChoice("", config.upstream, dict(config.upstream_options))))


def _loaded(choice: EncoderChoice) -> KnownEncoder:
    upstream = load_upstream(choice.name, **choice.options)
    facts = EncoderFacts(
        name=upstream.name,
        options=choice.options,
        num_parameters=sum(each.numel() for each in upstream.parameters()),
        num_layers=upstream.num_layers,
        trained_on=_trained_on(choice),
    )
    mark = Identified(upstream, fingerprint(upstream))
    return KnownEncoder(choice, identity_of_encoder(mark), facts, code_of_encoder(upstream))


def _trained_on(choice: EncoderChoice) -> list[str]:
    """What the card of a pre-trained encoder says of its training, as sentences."""
    if choice.options.get("weights") == "random":
        return []
    return [text for name in names_in(choice.name) for text in _training_of(name)]


def _training_of(name: str) -> list[str]:
    """What the card of one says, where it has one and weights."""
    card = UPSTREAMS.card(name) if name in UPSTREAMS else None
    if not isinstance(card, UpstreamCard) or not card.weights:
        return []
    said = [str(value) for key, value in card.training.items() if key in ("data", "corpora")]
    return said or [text for text in (card.summary, card.notes) if text]


def _state_of(choice: EncoderChoice) -> str:
    """A hash of all that could change what the name stands for, without loading it."""
    facts: list[Any] = [choice.name, choice.options, state_of_package("audiossl")]
    names = names_in(choice.name)
    for name in names:
        facts += _facts_of(name)
    own = options_of_parts(names, choice.options, key="upstream_options") if len(names) > 1 else [choice.options]
    facts += [list(_files(Path(str(each.get(key, ""))))) for each in own for key in ("encoder", "model")]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _facts_of(name: str) -> list[Any]:
    """The card of a name, the package behind it, and the files of a path or a reference."""
    facts: list[Any] = []
    if name in UPSTREAMS:
        card = UPSTREAMS.card(name)
        facts += [card.as_json(), state_of_package(card.target.split(".")[0])]
    path = Path(name.partition(":")[2] or name)
    beside = path.parent.glob(f"{path.name}?*") if path.suffix == ".onnx" else ()  # weights outside of the graph
    return [*facts, list(_files(path)), [list(_files(file)) for file in sorted(beside)]]


def _files(path: Path) -> Iterator[list[Any]]:
    """Name and state of a file, or of all files of a folder."""
    if not path.name or not path.exists():
        return
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        status = os.stat(file)
        if file.is_file():
            yield [os.path.realpath(file), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
