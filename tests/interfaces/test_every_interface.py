"""What every interface promises, whatever the number and widths of the layers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.registry import INTERFACES
from audiossl.core.tensors import read_tensors, write_tensors
from audiossl.core.types import Features
from audiossl.training.interface import Interface, load_interface

NAMES = ["last", "layer", "weighted_sum", "grouped_weighted_sum", "concat", "hierarchical_conv", "cls_pooling", "pca"]
STACKS = [(6,), (6, 6), (6,) * 3, (6,) * 13, (6, 4, 9), (5, 8), tuple(range(3, 16))]


def features_of(widths: tuple[int, ...], lengths: tuple[int, ...] = (7, 4), seed: int = 1) -> Features:
    generator = torch.Generator().manual_seed(seed)
    layers = tuple(torch.randn(len(lengths), max(lengths), width, generator=generator) for width in widths)
    return Features(layers, torch.tensor(lengths))


def built(name: str, widths: tuple[int, ...], **options: object) -> Interface:
    torch.manual_seed(0)
    interface = load_interface(name, widths, **options)
    if interface.needs_fit:
        interface.fit([features_of(widths, (40, 30), seed=2)])
    for parameter in interface.parameters():  # away from symmetric points such as equal weights
        parameter.data += 0.1 * torch.randn_like(parameter)
    return interface


def test_the_names_are_the_registered_ones() -> None:
    assert set(NAMES) <= set(INTERFACES.names())
    for name in NAMES:
        assert INTERFACES.card(name).summary


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", STACKS, ids=str)
def test_width_is_exactly_what_is_asked_for(name: str, widths: tuple[int, ...]) -> None:
    features = features_of(widths)
    natural = {"last": widths[-1], "layer": widths[-1]}.get(name, widths[0])
    for asked in (None, 1, 5, 11):
        if name == "pca" and (asked or 0) > sum(widths):
            continue
        interface = built(name, widths, width=asked)
        assert interface.width == (asked or natural)
        assert interface(features).shape == (2, 7, interface.width)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [(6,), (6, 6), (6,) * 13, (6, 4, 9)], ids=str)
def test_frames_are_treated_one_by_one(name: str, widths: tuple[int, ...]) -> None:
    interface = built(name, widths)
    features = features_of(widths)
    together = interface(features)
    for item in range(2):
        alone = Features(tuple(layer[None] for layer in features.item(item)), features.lengths[item : item + 1])
        torch.testing.assert_close(interface(alone)[0], together[item, : int(features.lengths[item])])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [(6, 6), (6,) * 3, (6,) * 13, (6, 4, 9)], ids=str)
def test_gradient_reaches_every_parameter(name: str, widths: tuple[int, ...]) -> None:
    interface = built(name, widths, width=5)
    result = interface(features_of(widths)) * torch.arange(1.0, 6.0)
    trainable = {key: parameter for key, parameter in interface.named_parameters() if parameter.requires_grad}
    assert bool(trainable) == result.requires_grad == (name != "pca")
    if trainable:
        result.square().sum().backward()
    for parameter_name, parameter in trainable.items():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [(6,) * 3, (6, 4, 9)], ids=str)
def test_save_and_load_is_identity(name: str, widths: tuple[int, ...], tmp_path: Path) -> None:
    interface = built(name, widths, width=5)
    write_tensors(tmp_path / "interface.safetensors", interface.state_dict(), {})
    state, _ = read_tensors(tmp_path / "interface.safetensors")
    torch.manual_seed(3)
    other = load_interface(name, widths, width=5)
    other.load_state_dict(state)
    assert not other.needs_fit
    assert torch.equal(other(features_of(widths)), interface(features_of(widths)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("widths", [(6,), (6,) * 3, (6, 4, 9)], ids=str)
def test_mean_over_time_commutes_where_it_says_so(name: str, widths: tuple[int, ...]) -> None:
    interface = built(name, widths, width=5).eval()
    features = features_of(widths, (7, 7))
    means = Features(tuple(layer.mean(dim=1, keepdim=True) for layer in features.layers), torch.tensor([1, 1]))
    of_means, mean_of = interface(means)[:, 0], interface(features).mean(dim=1)
    if interface.commutes_with_mean:
        torch.testing.assert_close(of_means, mean_of)
    elif name != "pca":  # affine, but fitted on frames
        assert not torch.allclose(of_means, mean_of, atol=1e-4)


def test_who_commutes_with_the_mean() -> None:
    commuting = {name for name in NAMES if built(name, (6, 6, 6)).commutes_with_mean}
    assert commuting == {"last", "layer", "weighted_sum", "grouped_weighted_sum", "concat"}
    assert not built("weighted_sum", (6, 6), normalize=True).commutes_with_mean
    assert not built("grouped_weighted_sum", (6, 6), normalize=True).commutes_with_mean


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("autocast", [False, True])
def test_bfloat16_states_stay_close(name: str, autocast: bool) -> None:
    interface = built(name, (6, 4, 9), width=5).eval()
    features = features_of((6, 4, 9))
    half = Features(tuple(layer.bfloat16() for layer in features.layers), features.lengths)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        result = interface(half)
    torch.testing.assert_close(result.float(), interface(features), atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_other_widths_than_built_for_are_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="widths"):
        built(name, (6, 6))(features_of((6, 6, 6)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [0, -3])
def test_a_width_below_one_is_an_error(name: str, width: int) -> None:
    with pytest.raises(ConfigError, match="width"):
        load_interface(name, (6, 6), width=width)


def frames_in_any_order(interface: Interface, features: Features) -> Tensor:
    order = torch.randperm(features.layers[0].shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = Features(tuple(layer[:, order] for layer in features.layers), features.lengths)
    back = torch.empty_like(interface(features))
    back[:, order] = interface(shuffled)
    return back


@pytest.mark.parametrize("name", NAMES)
def test_no_frame_sees_another(name: str) -> None:
    interface = built(name, (6,) * 3)
    features = features_of((6,) * 3, (7, 7))
    torch.testing.assert_close(frames_in_any_order(interface, features), interface(features))
