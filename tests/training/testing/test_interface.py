"""The check for authors of interfaces: what keeps the contract passes, and each breach of it is found by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiossl import Interface, check_interface


class Gate(Interface):
    """The layers' mean, gated by a linear map of each frame."""

    stackable = True

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = widths[0]
        self.gate = nn.Linear(self.width, self.width)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        mean = torch.stack(tuple(layers)).mean(0)
        return mean.to(self.gate.weight.dtype) * self.gate(mean.to(self.gate.weight.dtype)).sigmoid()


class WrongWidth(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = 3


class NormalisesOverTime(Gate):
    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        output = super().combine(layers)
        return output - output.mean(1, keepdim=True)


class SaysThatItCommutes(Gate):
    commutes_with_mean = True


class DrawsWhenStacked(Gate):
    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return nn.functional.dropout(super().combine(layers), 0.5, self.training)


class ReadsMoreThanItSays(Gate):
    @property
    def layers_read(self) -> tuple[int, ...]:
        return (0, 1)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return super().combine(layers[:2]) + (layers[2] if layers[2].shape[1] else 0.0)


class ReadsWhatIsNotThere(Gate):
    layers_read = (0, 1)


class HasNoWidth(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        del self.width


class GivesATensorOfWeights(Gate):
    def layer_weights(self) -> Any:
        return torch.ones(3) / 3


class HasAnIdlePart(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.idle = nn.Linear(2, 2)


class KeepsSomethingBack(Gate):
    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.register_buffer("factor", torch.tensor(0.0))

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return super().combine(layers) * (1 + self.factor)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict({**state_dict, prefix + "factor": torch.tensor(7.0)}, prefix, *rest)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (WrongWidth, r"width says 3, the output is \(2, 7, 4\)"),
        (NormalisesOverTime, "without its neighbours, so padding reaches it"),
        (SaysThatItCommutes, "commutes_with_mean is claimed"),
        (DrawsWhenStacked, "stackable is claimed"),
        (ReadsMoreThanItSays, r"`layers_read` is \(0, 1\), but the output changes by"),
        (ReadsWhatIsNotThere, r"`layers_read` is \(0, 1\), but `combine` fails without the other layers"),
        (HasNoWidth, "must set `width`"),
        (GivesATensorOfWeights, r"must give a list of floats, .* not tensor"),
        (HasAnIdlePart, r"No finite gradient reaches idle\.weight, idle\.bias"),
        (KeepsSomethingBack, "Loading its own state changes the interface"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_interface_is_found_out(broken: type[Interface], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_interface(broken((4, 4, 4)))


class Weighted(Interface):
    """A softmax over the layers, which has nothing to learn where there is one."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(widths)
        self.width = widths[0]
        self.logits = nn.Parameter(torch.zeros(len(widths)))

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        return sum(weight * layer for weight, layer in zip(self.logits.softmax(0), layers, strict=True))  # type: ignore[return-value]


@pytest.mark.parametrize("num_layers", [1, 3])
def test_weights_of_a_single_layer_need_no_gradient(num_layers: int) -> None:
    check_interface(Weighted((4,) * num_layers))


def test_a_sound_interface_passes_and_stays_as_it_was() -> None:
    interface = Gate((4, 4, 4))
    before = interface.gate.weight.clone()
    check_interface(interface)
    assert torch.equal(interface.gate.weight, before)
