"""A frozen encoder that one process asks for again and again is loaded once.

The worker of a suite trains many heads on one encoder, and each training and each evaluation asks for it:

    with keep_encoder(state):
        upstream, mark = load_identified("hubert_base", {})     # loaded
        upstream, mark = load_identified("hubert_base", {})     # the same one

Outside of `keep_encoder` every call loads. What is kept is compared with its fingerprint before it is given out again,
so that an encoder whose weights somebody has changed is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from audiossl.core.tensors import fingerprint
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream


class Identified(NamedTuple):
    """An encoder as it was loaded, and the fingerprint of it, which tells it from all others."""

    upstream: Upstream
    fingerprint: str


@dataclass
class _Kept:
    """What this process keeps.

    state: of the files behind the name, as the one says who keeps it. None where nothing is kept now.
    key: of the last encoder: this state, the name and the options.
    last: that encoder. None before the first.
    """

    state: str | None = None
    key: str = ""
    last: Identified | None = None


_KEPT = _Kept()


@contextmanager
def keep_encoder(state: str) -> Iterator[None]:
    """Within it, an encoder that was loaded last is given again, also when it was loaded in an earlier such block.

    It is for frozen encoders alone: nothing in the block may train the weights or add to the modules.

    state: all that could change what a name stands for, the state of its files for instance.
    """
    before, _KEPT.state = _KEPT.state, state
    try:
        yield
    finally:
        _KEPT.state = before


def forget_encoder() -> None:
    """Let go of the encoder that is kept, and of its memory."""
    _KEPT.key, _KEPT.last = "", None


def load_identified(name: str, options: Mapping[str, Any]) -> Identified:
    """`load_upstream(name, **options)` with its fingerprint, or the encoder that is kept under this name.

    Raises what `load_upstream` raises.
    """
    if _KEPT.state is None:
        return _loaded(name, options)
    key = json.dumps([_KEPT.state, name, dict(options)], sort_keys=True, default=repr)
    if _KEPT.last is None or _KEPT.key != key or fingerprint(_KEPT.last.upstream) != _KEPT.last.fingerprint:
        forget_encoder()  # before the next one needs room
        _KEPT.key, _KEPT.last = key, _loaded(name, options)
    return _KEPT.last


def _loaded(name: str, options: Mapping[str, Any]) -> Identified:
    upstream = load_upstream(name, **options)
    return Identified(upstream, fingerprint(upstream))
