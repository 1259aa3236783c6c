"""Weighted sums against the stacked formula."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from toys.layers import features_of

from audiossl.core.errors import ConfigError
from audiossl.core.types import Features
from audiossl.interfaces.weighted_sum.interface import (
    GroupedWeightedSum,
    ParallelSums,
    WeightedSum,
    contiguous_groups,
)
from audiossl.nn import layer_sum
from audiossl.training.interface import load_interface


@pytest.mark.parametrize("num_layers", [1, 2, 3, 13])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_weighted_sum_equals_the_stacked_formula(num_layers: int, normalize: bool, offset: float) -> None:
    features = features_of(num_layers, offset=offset)
    interface = WeightedSum(features.widths, WeightedSum.Config(normalize=normalize))
    torch.nn.init.normal_(interface.sum.logits)
    stacked = torch.stack(features.layers)  # (L, B, T, D)
    if normalize:
        stacked = torch.nn.functional.layer_norm(stacked, stacked.shape[-1:])
    logits = interface.sum.logits.detach().clone().requires_grad_()
    expected = (logits.softmax(dim=0)[:, None, None, None] * stacked).sum(dim=0)
    result = interface(features)
    torch.testing.assert_close(result, expected, atol=2e-5, rtol=2e-5)
    if num_layers == 1:  # its weight is 1 whatever the logit
        assert not result.requires_grad
        return
    target = torch.randn_like(expected)
    ((expected - target) ** 2).sum().backward()
    ((result - target) ** 2).sum().backward()
    torch.testing.assert_close(interface.sum.logits.grad, logits.grad, atol=2e-2 if offset else 1e-3, rtol=1e-3)


def test_it_starts_as_the_mean_of_the_layers() -> None:
    features = features_of(5)
    interface = load_interface("weighted_sum", features.widths)
    torch.testing.assert_close(interface(features), torch.stack(features.layers).mean(dim=0))
    assert interface.layer_weights() == {"layers": pytest.approx([0.2] * 5)}


def test_layer_weights_are_the_softmax() -> None:
    interface = WeightedSum((6, 6, 6))
    interface.sum.logits.data = torch.tensor([0.0, 1.0, -1.0])
    weights = interface.layer_weights()["layers"]
    assert weights == pytest.approx(torch.tensor([0.0, 1.0, -1.0]).softmax(0).tolist())
    assert sum(weights) == pytest.approx(1.0)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_layer_is_copied_for_the_gradient(normalize: bool, dtype: torch.dtype) -> None:
    features = features_of(13, width=64)
    features = Features(tuple(layer.to(dtype) for layer in features.layers), features.lengths)
    layers = {layer.data_ptr() for layer in features.layers}
    foreign: list[int] = []

    def keep(saved: torch.Tensor) -> torch.Tensor:
        if saved.data_ptr() not in layers:
            foreign.append(saved.numel())
        return saved

    interface = WeightedSum(features.widths, WeightedSum.Config(normalize=normalize))
    with saved_tensors_hooks(keep, lambda saved: saved):
        interface(features).sum().backward()
    assert sum(foreign) < features.layers[0].numel()


def test_half_precision_layers_are_summed_in_float32() -> None:
    features = features_of(13)
    half = Features(tuple(layer.bfloat16() for layer in features.layers), features.lengths)
    exact = torch.stack([layer.float() for layer in half.layers]).mean(dim=0)
    torch.testing.assert_close(load_interface("weighted_sum", half.widths)(half), exact)


@pytest.mark.parametrize("piece", [2**16, 64])
@pytest.mark.parametrize("arrangement", ["apart", "in records"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_with_several_sets_of_weights_read_each_layer_once(
    piece: int, arrangement: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the stacked formula in float64, values and gradients; in one piece or many, and in strided layers."""
    monkeypatch.setitem(layer_sum._PIECE, "cpu", piece)
    generator = torch.Generator().manual_seed(0)
    records = torch.randn(3, 13, 7, 6, generator=generator).to(dtype)  # (B, L, T, D), as the cache has them
    layers = [records[:, layer] for layer in range(13)]
    layers = layers if arrangement == "in records" else [layer.contiguous() for layer in layers]
    weights = torch.rand(4, 13, generator=generator, requires_grad=True)
    target = torch.randn(4, 3, 7, 6, generator=generator)
    widened: list[int] = []
    copy = torch.Tensor.copy_
    monkeypatch.setattr(
        torch.Tensor,
        "copy_",
        lambda self, other: (widened.append(other.numel()) if other.dtype == dtype else None, copy(self, other))[1],
    )
    sums = torch.func.vmap(lambda own: layer_sum.sum_of_layers(own, layers))(weights)
    assert sum(widened) == records.numel()  # not four times as many
    expected = torch.einsum("nl,bltd->nbtd", weights.double(), records.double())
    torch.testing.assert_close(sums.double(), expected, atol=1e-5, rtol=1e-5)
    (sums * target).sum().backward()
    of_weights = torch.einsum("nbtd,bltd->nl", target.double(), records.double())
    torch.testing.assert_close(weights.grad.double(), of_weights, atol=1e-4, rtol=1e-5)  # type: ignore[union-attr]
    one = layer_sum.sum_of_layers(weights[2], layers)
    torch.testing.assert_close(one, sums[2], atol=1e-6, rtol=1e-6)


def test_autocast_does_not_narrow_a_sum_of_halves() -> None:
    features = features_of(13)
    layers = [layer.bfloat16() for layer in features.layers]
    weights = torch.rand(13, generator=torch.Generator().manual_seed(1), requires_grad=True)
    gradients, sums = [], []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            sums.append(layer_sum.sum_of_layers(weights, layers))
            gradients += torch.autograd.grad(sums[-1].square().sum(), weights)
    assert sums[1].dtype == torch.float32
    assert torch.equal(sums[0], sums[1])
    assert torch.equal(gradients[0], gradients[1])


@pytest.mark.parametrize(("num_layers", "num_groups"), [(1, 1), (13, 1), (13, 2), (13, 3), (13, 4), (3, 3), (2, 5)])
def test_grouped_weighted_sum_equals_its_formula(num_layers: int, num_groups: int) -> None:
    features = features_of(num_layers)
    config = GroupedWeightedSum.Config(width=4, num_groups=num_groups)
    interface = GroupedWeightedSum(features.widths, config)
    groups = torch.arange(num_layers).tensor_split(min(num_groups, num_layers))
    sums = []
    for part, group in zip(interface.sums, groups, strict=True):
        weights = torch.nn.init.normal_(part.get_parameter("logits")).softmax(dim=0)
        stacked = torch.stack([features.layers[layer] for layer in group.tolist()], dim=-1)
        sums.append((stacked * weights).sum(dim=-1))
    torch.testing.assert_close(interface(features), interface.projection(torch.cat(sums, dim=-1)))
    by_group = interface.layer_weights()
    assert [len(values) for values in by_group.values()] == [len(group) for group in groups]
    assert all(sum(values) == pytest.approx(1.0) for values in by_group.values())


def test_groups_are_contiguous_and_even() -> None:
    assert contiguous_groups(13, 4) == [range(4), range(4, 7), range(7, 10), range(10, 13)]


def test_no_groups_is_an_error() -> None:
    with pytest.raises(ConfigError, match="num_groups"):
        load_interface("grouped_weighted_sum", (6, 6), num_groups=0)


def test_unknown_options_name_the_closest() -> None:
    with pytest.raises(ConfigError, match="normalize"):
        load_interface("weighted_sum", (6, 6), normalise=True)


def test_parallel_sums_lie_side_by_side() -> None:
    features = features_of(3)
    interface = ParallelSums(features.widths, ParallelSums.Config(num_sums=2))
    for summed in interface.sums:
        torch.nn.init.normal_(summed.logits)
    expected = [summed(features.layers) for summed in interface.sums]
    torch.testing.assert_close(interface(features), torch.cat(expected, dim=-1))
    assert (interface.num_parts, interface.width) == (2, 2 * features.widths[0])
    assert ParallelSums(features.widths, ParallelSums.Config(width=5)).num_parts == 1
    assert list(interface.layer_weights()) == ["sum 1", "sum 2"]
