"""Hierarchical convolution against its formula and published sizes; chunks of frames that bound the memory."""

from __future__ import annotations

import math

import pytest
import torch
from toys.layers import stack_of

from audiossl.core.errors import ConfigError
from audiossl.interfaces.hierarchical_conv.interface import HierarchicalConv, floor_log
from audiossl.training.interface import load_interface


@pytest.mark.parametrize("base", [2, 3, 10])
def test_floor_log_is_exact_at_and_beside_powers(base: int) -> None:
    for power in range(1, 9):
        assert floor_log(base**power, base) == power
        assert floor_log(base**power - 1, base) == power - 1


def test_floating_point_logarithm_would_be_wrong() -> None:
    assert math.floor(math.log(243) / math.log(3)) == 4  # why floor_log counts in integers
    assert floor_log(243, 3) == 5


@pytest.mark.parametrize(
    ("num_layers", "width", "convolutions", "parameters"),
    [
        (13, 768, 2, 4_424_832),  # HuBERT base: 4.42 M as published
        (49, 1280, 3, 20_483_200),  # 20.5 M
        (7, 768, 1, 983_296),  # 0.98 M
    ],
)
def test_sizes_of_the_hierarchical_convolution(num_layers: int, width: int, convolutions: int, parameters: int) -> None:
    with torch.device("meta"):
        interface = HierarchicalConv((width,) * num_layers)
    assert len(interface.convolutions) == convolutions
    assert sum(parameter.numel() for parameter in interface.parameters()) == parameters
    assert isinstance(interface.projection, torch.nn.Identity)


def test_25_layers_give_1024_channels_where_the_published_code_gives_1023() -> None:
    with torch.device("meta"):
        interface = HierarchicalConv((1024,) * 25)
    sizes = [sum(parameter.numel() for parameter in part.parameters()) for part in interface.convolutions]
    published = (1024 * 5 + 1) * 1024 + (1024 * 5 + 1) * 341  # 6.99 M
    assert sum(sizes) == published + 1024 * 5 + 1  # one channel more
    assert isinstance(interface.projection, torch.nn.Linear)
    assert (interface.projection.in_features, interface.projection.out_features) == (3 * 342, 1024)


@pytest.mark.parametrize("num_layers", [3, 8, 9, 13, 25, 27])
def test_hierarchical_convolution_ends_on_few_layers(num_layers: int) -> None:
    features = stack_of((6,) * num_layers)
    interface = HierarchicalConv(features.widths)
    x = torch.stack(features.layers, dim=-1).flatten(0, 1)  # (B T, D, L)
    for convolution in interface.convolutions:
        weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")
        x = torch.nn.functional.conv1d(x, weight, bias, stride=3, padding=2).relu()
    assert x.shape[-1] in (1, 2, 3)
    expected = interface.projection(x.flatten(1)).view(2, 9, 6)
    torch.testing.assert_close(interface(features), expected)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_with_one_or_two_layers_it_is_a_linear_map_with_relu(num_layers: int) -> None:
    features = stack_of((6,) * num_layers)
    interface = HierarchicalConv(features.widths, HierarchicalConv.Config(width=5))
    weight = interface.get_parameter("convolutions.0.weight")  # (5, 6, L)
    parts = [layer @ weight[:, :, number].T for number, layer in enumerate(features.layers)]
    expected = torch.stack(parts).sum(dim=0) + interface.get_parameter("convolutions.0.bias")
    torch.testing.assert_close(interface(features), expected.relu())


@pytest.mark.parametrize("name", ["hierarchical_conv", "cls_pooling"])
@pytest.mark.parametrize("chunk_frames", [1, 5, 18, 1000])
def test_chunks_change_neither_result_nor_gradient(name: str, chunk_frames: int) -> None:
    features = stack_of((6, 6, 4, 6))
    torch.manual_seed(0)
    whole = load_interface(name, features.widths, width=5)
    chunked = load_interface(name, features.widths, width=5, chunk_frames=chunk_frames)
    chunked.load_state_dict(whole.state_dict())
    target = torch.randn(2, 9, 5)
    for interface in (whole, chunked):
        ((interface(features) - target) ** 2).sum().backward()
    torch.testing.assert_close(chunked(features), whole(features))
    with torch.no_grad():
        torch.testing.assert_close(chunked(features), whole(features))
    for one, other in zip(whole.parameters(), chunked.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["hierarchical_conv", "cls_pooling"])
def test_chunks_bound_what_is_kept_for_the_gradient(name: str) -> None:
    def kept(frames: int) -> int:
        features = stack_of((8,) * 9, frames)
        interface = load_interface(name, features.widths, chunk_frames=16)
        own = {layer.untyped_storage().data_ptr() for layer in features.layers}
        own |= {parameter.untyped_storage().data_ptr() for parameter in interface.parameters()}
        sizes: list[int] = []

        def keep(saved: torch.Tensor) -> torch.Tensor:
            if saved.untyped_storage().data_ptr() not in own:
                sizes.append(saved.numel())
            return saved

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            interface(features).sum()
        return sum(sizes)

    assert kept(frames=80) <= 80 * 2 * 8  # at most the result itself, not the 9 stacked layers


@pytest.mark.parametrize("name", ["hierarchical_conv", "cls_pooling"])
def test_chunks_of_no_frame_are_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="chunk_frames=0 must be at least 1"):
        load_interface(name, (6, 6), chunk_frames=0)
