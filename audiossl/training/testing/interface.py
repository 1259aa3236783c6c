"""The check that every interface passes.

from audiossl import check_interface
check_interface(MyInterface((8, 8, 8)))      # raises AssertionError with one sentence

It works on a copy: what is passed in stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from audiossl.core.types import Features
from audiossl.encoders.testing import relative_distance
from audiossl.training.interface import Interface
from audiossl.training.testing.common import check_stacked, forget


def check_interface(interface: Interface, *, tolerance: float = 1e-5, seed: int = 0) -> None:
    """Assert the contract of an interface on random layers of its widths.

    The output is (B, T, width). Each frame is treated alone, so that padding cannot reach a valid one. Layers that are
    not read do not matter. Gradients reach every trainable parameter. `commutes_with_mean` and `stackable` are true
    where they are claimed. Half precision stays finite. Saving and loading is the identity.

    tolerance: relative L2 distance of outputs that must be equal.
    seed: of the layers, and of a step off the initial parameters, which hide errors (all weights equal, for instance).
    Raises AssertionError with one sentence on the first breach.
    """
    made, draw = copy.deepcopy(interface), torch.Generator().manual_seed(seed)
    assert isinstance(getattr(made, "width", None), int), "The constructor must set `width`, of what comes out."
    if made.needs_fit:
        made.fit([_random_layers(made.widths, (40, 30), draw)])
        assert not made.needs_fit, "needs_fit is still True after `fit`."
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw).to(parameter))
    features = _random_layers(made.widths, (7, 4), draw)
    # What it gives: the shape, and no more of the layers than it says.
    with torch.no_grad():
        whole = made.eval()(features)
        assert whole.shape == (2, 7, made.width), f"width says {made.width}, the output is {tuple(whole.shape)}."
        _check_frames(made, features, whole, tolerance)
        _check_layers_read(made, features, whole, tolerance)
        _check_half_precision(made, features)
        _check_layer_weights(made)
        if made.commutes_with_mean:
            _check_mean_of_layers(made, features, tolerance)
    # What training needs: gradients, stacked copies where it claims to be stackable, and a state that can be saved.
    _check_gradients(made, features)
    if made.stackable:
        check_stacked(made.train(), features, lambda output: output.square().mean(), tolerance)
    twin = copy.deepcopy(made)
    forget(twin.state_dict())
    twin.load_state_dict(made.state_dict())
    assert torch.equal(twin.eval()(features), made.eval()(features)), "Loading its own state changes the interface."


def _random_layers(widths: Sequence[int], lengths: tuple[int, ...], draw: torch.Generator) -> Features:
    shape = (len(lengths), max(lengths))
    return Features(tuple(torch.randn(*shape, width, generator=draw) for width in widths), torch.tensor(lengths))


def _check_frames(interface: Interface, features: Features, whole: Tensor, tolerance: float) -> None:
    for frame in range(whole.shape[1]):
        layers = tuple(layer[:, frame : frame + 1] for layer in features.layers)
        error = relative_distance(interface(Features(layers, torch.ones_like(features.lengths)))[:, 0], whole[:, frame])
        assert error <= tolerance, (
            f"Frame {frame} changes by {error:.1e} without its neighbours, so padding reaches it."
        )


def _check_layers_read(interface: Interface, features: Features, whole: Tensor, tolerance: float) -> None:
    last = len(features.layers) - 1 if interface.up_to_layer is None else interface.up_to_layer
    kept = [
        layer if number in interface.layers_read else layer[:, :0]
        for number, layer in enumerate(features.layers[: last + 1])
    ]
    said = f"`up_to_layer` is {interface.up_to_layer}, `layers_read` is {interface.layers_read}"
    try:
        found = interface(Features(tuple(kept), features.lengths))
    except (RuntimeError, IndexError, ValueError) as problem:
        reason = str(problem).splitlines()[0]
        raise AssertionError(f"{said}, but `combine` fails without the other layers: {reason}") from problem
    error = relative_distance(found, whole)
    assert error <= tolerance, f"{said}, but the output changes by {error:.1e} without the other layers."


def _check_layer_weights(interface: Interface) -> None:
    weights = interface.layer_weights()
    fits = isinstance(weights, dict) and all(
        isinstance(group, list) and group and all(isinstance(weight, float) for weight in group)
        for group in weights.values()
    )
    assert fits, (
        f"layer_weights must give a list of floats, one for each layer, by the name of its group ('layers' where there "
        f"is one), not {weights!r}."
    )


def _check_half_precision(interface: Interface, features: Features) -> None:
    half = Features(tuple(layer.bfloat16() for layer in features.layers), features.lengths)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert bool(torch.isfinite(interface(half)).all()), "The output is not finite for states in bfloat16."


def _check_mean_of_layers(interface: Interface, features: Features, tolerance: float) -> None:
    means = Features(tuple(layer.mean(1, keepdim=True) for layer in features.layers), torch.ones_like(features.lengths))
    error = relative_distance(interface(means)[:, 0], interface(features).mean(1))
    assert error <= tolerance, (
        f"commutes_with_mean is claimed, but the output for mean layers is {error:.1e} off the mean output."
    )


def _check_gradients(interface: Interface, features: Features) -> None:
    trainable = {name: p for name, p in interface.named_parameters() if p.requires_grad}
    if not trainable:
        return
    interface.zero_grad(set_to_none=True)
    # A random direction: the plain sum of a layer-normalised output is constant.
    output = interface(features)
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    # Weights that sum to one have nothing to learn where there is one layer.
    still = len(features.layers) == 1
    faults = [
        name
        for name, p in trainable.items()
        if p.grad is None or not bool((still or p.grad.any()) and p.grad.isfinite().all())
    ]
    interface.zero_grad(set_to_none=True)
    assert not faults, f"No finite gradient reaches {', '.join(faults)}."
