"""An encoder from a registered name and its options, without weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audiossl.core.config import make
from audiossl.core.errors import AudiosslError
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import require_fit
from audiossl.encoders.upstream import Upstream


def build_upstream(name: str, options: Mapping[str, Any], seed: int) -> Upstream:
    """Construct a registered upstream with parameters drawn from `seed`, without loading weights.

    The global random state is left as it was.
    Raises UnknownNameError, and ConfigError for an unknown option.
    """
    target = UPSTREAMS.load(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = make(target, options, where=f"options of upstream {name}")
    if not isinstance(made, Upstream):
        raise TypeError(f"{name} made a {type(made).__name__}, not an Upstream.")
    made.name = name
    return made


def require_shapes(name: str, options: Mapping[str, Any], state: Mapping[str, Tensor], what: str) -> None:
    """Raise CheckpointError where tensors are not those of the encoder that options describe, before it is built.

    A damaged or hostile description may stand for terabytes. Of a front end around another encoder nothing is checked,
    since that may be of any shape.

    name: of a registered upstream.
    options: of its configuration.
    state: the tensors, under our names.
    what: what an error calls the encoder.
    """
    if passed_on(name, random_init=True, seed=0):
        return
    try:
        with torch.device("meta"):
            expected = build_upstream(name, options, seed=0).state_dict()
    except AudiosslError:
        raise
    except Exception:  # noqa: BLE001 - a constructor that must have numbers, or cannot use these: building it tells
        return
    require_fit(state, expected=expected, what=what)


def passed_on(name: str, *, random_init: bool, seed: int) -> dict[str, Any]:
    """For a front end around another encoder, the options that say how to load it. Other upstreams get none."""
    if not getattr(UPSTREAMS.load(name), "loads_encoder", False):
        return {}
    return {"weights": "random" if random_init else "pretrained", "seed": seed}
