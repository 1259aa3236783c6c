"""audiossl: self-supervised learning for speech and audio.

    from audiossl import load_upstream
    features = load_upstream("tera_mini")(wavs, lengths)      # Features(layers, lengths)

Importing this package imports neither torch nor torchaudio; each public name loads its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiossl.core.cards import Card, UpstreamCard
    from audiossl.core.registry import DOWNSTREAMS, INTERFACES, UPSTREAMS
    from audiossl.core.types import Batch, Features, Loss
    from audiossl.encoders.loading import load_upstream
    from audiossl.encoders.upstream import Upstream
    from audiossl.experiments.loading import load_run
    from audiossl.training.config import TrainerConfig
    from audiossl.training.downstream import Downstream
    from audiossl.training.interface import Interface, load_interface
    from audiossl.training.objective import Pretraining
    from audiossl.training.task import Task
    from audiossl.training.trainer import Trainer

__version__ = "0.1.0"

_HOME = {
    "Batch": "core.types",
    "Card": "core.cards",
    "DOWNSTREAMS": "core.registry",
    "Downstream": "training.downstream",
    "Features": "core.types",
    "INTERFACES": "core.registry",
    "Interface": "training.interface",
    "Loss": "core.types",
    "Pretraining": "training.objective",
    "Task": "training.task",
    "Trainer": "training.trainer",
    "TrainerConfig": "training.config",
    "UPSTREAMS": "core.registry",
    "Upstream": "encoders.upstream",
    "UpstreamCard": "core.cards",
    "load_interface": "training.interface",
    "load_run": "experiments.loading",
    "load_upstream": "encoders.loading",
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
