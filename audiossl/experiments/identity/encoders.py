"""What tells an encoder from all others: its weights and how they are run, and the code that it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

from audiossl.core.tensors import config_of
from audiossl.encoders.kept import Identified
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.identity.code import code_of_modules
from audiossl.features.identity import code_modules


def identity_of_encoder(encoder: Identified) -> str:
    """A hash of weights, configuration, precision and engine, whatever the encoder is called."""
    upstream = encoder.upstream
    running = [getattr(upstream, "engine", "eager"), getattr(upstream, "precision", "fp32")]
    described = json.dumps([encoder.fingerprint, *running, config_of(upstream)], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def code_of_encoder(upstream: Upstream) -> str:
    """A hash of what an encoder runs: our code and its author's by their meaning, other packages by their versions."""
    tops = {"audiossl", type(upstream).__module__.split(".")[0]}
    modules = code_modules(upstream)
    others = {module.split(".")[0] for module in modules} - tops
    versions = {name: found for name in sorted(others) if (found := _version_of(name)) is not None}
    own = code_of_modules(module for module in modules if module.split(".")[0] in tops)
    return hashlib.sha256(json.dumps([own, versions]).encode()).hexdigest()[:16]


@cache
def _version_of(module: str) -> str | None:
    """The version of the distribution that a module is of. None where it is of none."""
    try:
        return version(module)
    except PackageNotFoundError:
        names = _distributions().get(module)
        return version(names[0]) if names else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    """By module: reads the files of all packages, which takes seconds."""
    return packages_distributions()
