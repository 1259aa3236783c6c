"""One layer of many."""

from __future__ import annotations

import pytest
import torch
from toys.layers import features_of

from audiossl.core.errors import ConfigError
from audiossl.training.interface import load_interface


@pytest.mark.parametrize(("index", "layer"), [(0, 0), (2, 2), (-1, 4), (-5, 0)])
def test_layer_takes_that_layer(index: int, layer: int) -> None:
    features = features_of(5)
    assert torch.equal(load_interface("layer", features.widths, index=index)(features), features.layers[layer])


def test_last_is_the_last_layer() -> None:
    features = features_of(3)
    assert torch.equal(load_interface("last", features.widths)(features), features.layers[2])


@pytest.mark.parametrize("index", [3, -4])
def test_a_layer_that_is_not_there_is_an_error(index: int) -> None:
    with pytest.raises(ConfigError, match="layers 0 to 2"):
        load_interface("layer", (6, 6, 6), index=index)
