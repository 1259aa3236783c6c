"""Concatenation is one linear map of all layers."""

from __future__ import annotations

import torch
from toys.layers import stack_of

from audiossl.interfaces.concat.interface import Concat


def test_concat_is_one_linear_map_of_all_layers() -> None:
    features = stack_of((4, 6, 3))
    interface = Concat(features.widths, Concat.Config(width=5))
    torch.testing.assert_close(interface(features), interface.projection(torch.cat(features.layers, dim=-1)))
