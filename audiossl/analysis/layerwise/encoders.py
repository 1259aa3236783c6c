"""Which encoders are compared: those that are asked for, what they were before training, and with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.analysis.callers import AskedEncoder, asked_encoder
from audiossl.core.errors import ConfigError
from audiossl.encoders.encoder_file import has_encoder_file, read_encoder_file
from audiossl.encoders.kept import Identified, load_identified

ASKED, BEFORE, RANDOM = "asked", "before", "random"


class Studied(NamedTuple):
    """An encoder of the study.

    written: what it is called.
    name: as `load_upstream` takes it.
    options: its own.
    role: asked, before (of a run, what its training began with) or random.
    beside: what it is shown beside, '' for one that is asked for.
    """

    written: str
    name: str
    options: dict[str, Any]
    role: str = ASKED
    beside: str = ""

    def load(self) -> Identified:
        """The encoder, frozen."""
        found = load_identified(self.name, self.options)
        found.upstream.eval()
        return found


def all_studied(encoders: Sequence[str | AskedEncoder], *, random: bool) -> list[Studied]:
    """The encoders, each followed by what stands beside it.

    encoders: as a user writes them, or as they were understood.
    random: whether anything stands beside them.
    Raises ConfigError for an encoder that is asked for twice.
    """
    asked = [asked_encoder(each) if isinstance(each, str) else each for each in encoders]
    names = [each.written for each in asked]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ConfigError(f"{twice} is asked for twice; name each encoder once.")
    made: list[Studied] = []
    for each in asked:
        made.append(Studied(_short(each.written, names), each.name, each.options))
        if random:
            made += [one for one in _beside(made[-1]) if one.written not in {other.written for other in made}]
    return made


def _beside(one: Studied) -> Iterator[Studied]:
    """What the encoder was before training, and the architecture with random weights."""
    name, options, folder = one.name, one.options, Path(one.name)
    if has_encoder_file(folder) and (said := read_encoder_file(folder)).upstream:
        name, options = said.upstream, said.options
        if said.finetune.get("mode", "none") != "none":
            yield Studied(f"{one.written}, before", name, options, BEFORE, one.written)
    if options.get("weights") != "random":
        yield Studied(f"{_short(name, [])}, random", name, {**options, "weights": "random"}, RANDOM, one.written)


def _short(text: str, others: Sequence[str]) -> str:
    """The last part of a path, where no other encoder has it too."""
    name = Path(text).name if "/" in text and "[" not in text else text
    return text if sum(Path(other).name == name for other in others) > 1 else name
