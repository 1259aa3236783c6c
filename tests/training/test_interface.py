"""Interfaces by name, and what every one refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError, UnknownNameError
from audiossl.core.registry import INTERFACES
from audiossl.core.types import Features
from audiossl.training.interface import Interface, build_interface, load_interface


class Second(Interface):
    """Takes the second layer alone."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = widths[1]

    @property
    def up_to_layer(self) -> int:
        return 1

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return layers[1]


def features(*widths: int) -> Features:
    return Features(tuple(torch.full((1, 2, width), float(width)) for width in widths), torch.tensor([2]))


def test_an_encoder_may_stop_where_an_interface_stops_reading() -> None:
    interface = Second([3, 4, 5])
    assert interface.layers_read == (0, 1)
    for given in (features(3, 4), features(3, 4, 5)):
        assert interface(given).shape == (1, 2, 4)
    with pytest.raises(ValueError, match=r"widths \(3, 4, 5\), not \(3,\)"):
        interface(features(3))
    with pytest.raises(ValueError, match=r"not \(3, 5\)"):
        interface(features(3, 5))


def test_an_interface_that_reads_all_layers_needs_them() -> None:
    interface = load_interface("weighted_sum", [3, 3])
    assert (interface.up_to_layer, interface.layers_read) == (None, (0, 1))
    with pytest.raises(ValueError, match="built for layers of widths"):
        interface(features(3))


def test_no_layer_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        Second([])


def test_names_and_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean weighted_sum"):
        load_interface("wieghted_sum", [3])
    with pytest.raises(ConfigError, match="options of interface layer"):
        build_interface("layer", [3, 3], {"indx": 1})
    made = build_interface("layer", [3, 4], {"index": 1})
    assert torch.equal(made(features(3, 4)), torch.full((1, 2, 4), 4.0))


def test_what_is_no_interface_is_an_error_of_its_author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(INTERFACES, "load", lambda name: lambda widths, **_: torch.nn.Identity())
    with pytest.raises(TypeError, match="last made a Identity, not an Interface"):
        load_interface("last", [3])
