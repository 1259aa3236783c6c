"""Interfaces side by side give what each gives alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from audiossl import check_downstream, check_interface, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Features
from audiossl.data.loader import collate
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.interfaces.layer.interface import Layer
from audiossl.interfaces.pca.interface import Pca
from audiossl.interfaces.weighted_sum.interface import ParallelSums, WeightedSum
from audiossl.training.joined_interface import JoinedInterface, interface_for


def test_the_contract_of_an_interface_holds() -> None:
    check_interface(JoinedInterface([WeightedSum((6, 6)), Layer((5, 5, 5), Layer.Config(index=1))], ["a", "b"]))


def test_each_reads_its_own_layers_and_no_further() -> None:
    first, second = Layer((4, 4, 4), Layer.Config(index=1)), WeightedSum((6, 6))
    joined = JoinedInterface([first, second], ["tera", "log_mel"])
    layers = [torch.randn(2, 5, width) for width in (4, 4, 4, 6, 6)]
    found = joined(Features(tuple(layers), torch.tensor([5, 3])))
    torch.testing.assert_close(found, torch.cat([layers[1], (layers[3] + layers[4]) / 2], dim=-1))
    assert joined.width == 10
    assert joined.layers_read == (1, 3, 4)
    assert joined.depths == [1, None]
    assert joined.up_to_layer is None
    assert joined.layer_weights() == {"log_mel: layers": [0.5, 0.5]}
    swapped = JoinedInterface([second, first], ["log_mel", "tera"])
    assert swapped.up_to_layer == 3


def test_parts_side_by_side_stay_side_by_side() -> None:
    """Keys of both, then values of both, as a head that reads two halves expects."""
    parts = [ParallelSums((4, 4)), ParallelSums((6,))]
    joined = JoinedInterface(parts, ["a", "b"])
    layers = [torch.randn(1, 3, width) for width in (4, 4, 6)]
    keys, values = joined.combine(layers).chunk(2, dim=-1)
    assert joined.num_parts == 2
    torch.testing.assert_close(keys[..., 4:], layers[2])
    torch.testing.assert_close(values[..., 4:], layers[2])


def test_what_is_estimated_is_that_of_each_alone() -> None:
    batches = [Features(tuple(torch.randn(3, 9, width) for width in (4, 6)), torch.tensor([9, 7, 5])) for _ in range(4)]
    parts = [Pca((4,), Pca.Config(width=2)), Pca((6,), Pca.Config(width=3))]
    joined = JoinedInterface(parts, ["a", "b"])
    joined.fit(batches)
    alone = Pca((6,), Pca.Config(width=3))
    alone.fit([Features(each.layers[1:], each.lengths) for each in batches])
    assert not joined.needs_fit
    torch.testing.assert_close(joined(batches[0])[..., 2:], alone(Features(batches[0].layers[1:], batches[0].lengths)))


def test_options_of_one_and_of_all() -> None:
    upstream = load_upstream("log_mel + mfcc")
    made = interface_for(upstream, "weighted_sum", {"width": 16, "mfcc": {"width": 8}})
    assert isinstance(made, JoinedInterface)
    assert [part.width for part in made.interfaces] == [16, 8]
    both = interface_for(upstream, "layer + weighted_sum", {"1": {"index": 0}})
    assert isinstance(both, JoinedInterface)
    assert [type(part).__name__ for part in both.interfaces] == ["Layer", "WeightedSum"]
    with pytest.raises(ConfigError, match="names 3 interfaces for 2 upstreams; name one for all, or one for each"):
        interface_for(upstream, "layer + layer + layer", {})


@pytest.mark.parametrize("settings", [[], ["upstream_options.join=pooled"], ["task.pooling=attention"]])
@pytest.mark.parametrize("names", ["[log_mel,fbank]", "[log_mel,spectrogram]"])
def test_the_contract_of_a_task_holds_on_joined_encoders(
    experiment: Callable[..., Any], names: str, settings: list[str]
) -> None:
    config = experiment(f"upstream={names}", *settings)
    rows = list(config.data.rows("train"))[:5]
    config = complete_config(config, rows)
    check_downstream(build_downstream(config), collate(rows, 16000))
