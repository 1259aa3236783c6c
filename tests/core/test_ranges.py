"""Numbers out of range are refused by the schema: the range stands beside the field."""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from audiossl.analysis.config import ProbeOptions
from audiossl.core.config import field_types, structured
from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, NonNegative, Positive, Range, Seed, Share, check_ranges, range_of
from audiossl.core.registry import REGISTRIES
from audiossl.encoders.config import EmbedOptions
from audiossl.experiments.config import Experiment, PretrainExperiment


@dataclass(frozen=True)
class Inner:
    share: Share = 0.5
    note: str = ""


@dataclass(frozen=True)
class Config:
    lr: Positive = 1.0
    size: Count | None = None
    widths: list[Count] = field(default_factory=list)
    pair: tuple[Share, NonNegative] = (0.5, 2.0)
    inner: Inner = field(default_factory=Inner)
    free: float = -3.0
    seed: Seed = 0


@pytest.mark.parametrize(
    ("layer", "fault"),
    [
        ({"lr": 0}, "lr=0 must be above 0."),
        ({"lr": math.nan}, "lr=nan must be above 0."),
        ({"lr": math.inf}, "lr=inf must be above 0."),
        ({"lr": 1e300}, "lr=1e+300 must be above 0 and at most 3e+38."),
        ({"size": 0}, "size=0 must be at least 1."),
        ({"size": 10**26}, f"size={10**26} must be at least 1 and at most 9e+18."),
        ({"widths": [3, -1]}, "widths[1]=-1 must be at least 1."),
        ({"pair": [0.5, -1]}, "pair[1]=-1 must be at least 0."),
        ({"inner": {"share": 1.5}}, "inner.share=1.5 must be from 0 to 1."),
        ({"seed": -1}, "seed=-1 must be from 0 to 4294967295."),
    ],
)
def test_the_schema_refuses(layer: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        structured(Config, layer, where="plan")
    assert str(caught.value) == f"In the plan: {fault}"


def test_what_is_in_range_or_has_none_is_taken() -> None:
    layer = {"lr": 1e-9, "size": None, "widths": [1], "pair": [1, 0], "inner": {"share": 0}, "free": math.nan}
    made = structured(Config, layer)
    assert (made.lr, made.size, made.widths, made.inner.share, math.isnan(made.free)) == (1e-9, None, [1], 0, True)
    check_ranges(Config(), "plan")
    with pytest.raises(ConfigError, match=r"^plan\.inner\.share=2 must be from 0 to 1\.$"):
        check_ranges(Config(inner=Inner(share=2)), "plan")


def test_range_of_a_field() -> None:
    assert range_of(Config, "lr") == Range(above=0)
    assert range_of(Config, "size") == Range(1)
    assert range_of(Config, "free") is None


def _schemas() -> dict[str, type]:
    found: dict[str, type] = {"embed": EmbedOptions, "probe": ProbeOptions}
    for schema in (Experiment, PretrainExperiment):
        found[schema.__name__] = schema
    for registry in REGISTRIES:
        for name in registry.names():
            schema = getattr(registry.load(name), "Config", None)
            if schema is not None and registry.owner(name).startswith("audiossl."):
                found[schema.__qualname__] = schema
    return found


def _without_range(schema: type, kind: Any, name: str) -> list[str]:
    """The numbers in a field of that type, as a dotted name, that have no range."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return [fault for key in field_types(kind) for fault in _without_range(kind, hints[key], f"{name}.{key}")]
    if typing.get_origin(kind) is Annotated:
        return []
    if kind in (int, float):
        return [name]
    return [fault for part in typing.get_args(kind) for fault in _without_range(schema, part, name)]


@pytest.mark.parametrize("name", _schemas())
def test_every_number_of_ours_has_a_range(name: str) -> None:
    schema = _schemas()[name]
    # A layer's number is checked by the encoder.
    assert _without_range(schema, schema, name) in ([], [f"{name}.index"], [f"{name}.layer"])
