"""audiossl: self-supervised learning for speech and audio.

    from audiossl import load_upstream
    features = load_upstream("tera_mini")(wavs, lengths)      # Features(layers, lengths)

Importing this package imports neither torch nor torchaudio; each public name loads its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiossl.cards import Card, UpstreamCard
    from audiossl.downstream import Downstream
    from audiossl.interface import Interface, load_interface
    from audiossl.pretraining import Pretraining
    from audiossl.registry import DOWNSTREAMS, INTERFACES, UPSTREAMS
    from audiossl.run import load_run
    from audiossl.task import Task
    from audiossl.trainer import Trainer, TrainerConfig
    from audiossl.types import Batch, Features, Loss
    from audiossl.upstream import Upstream, load_upstream

__version__ = "0.1.0"

_HOME = {
    "Batch": "types",
    "Card": "cards",
    "DOWNSTREAMS": "registry",
    "Downstream": "downstream",
    "Features": "types",
    "INTERFACES": "registry",
    "Interface": "interface",
    "Loss": "types",
    "Pretraining": "pretraining",
    "Task": "task",
    "Trainer": "trainer",
    "TrainerConfig": "trainer",
    "UPSTREAMS": "registry",
    "Upstream": "upstream",
    "UpstreamCard": "cards",
    "load_interface": "interface",
    "load_run": "run",
    "load_upstream": "upstream",
}

__all__ = [
    "DOWNSTREAMS",
    "INTERFACES",
    "UPSTREAMS",
    "Batch",
    "Card",
    "Downstream",
    "Features",
    "Interface",
    "Loss",
    "Pretraining",
    "Task",
    "Trainer",
    "TrainerConfig",
    "Upstream",
    "UpstreamCard",
    "load_interface",
    "load_run",
    "load_upstream",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'audiossl' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"audiossl.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
