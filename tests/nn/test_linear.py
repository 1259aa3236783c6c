"""Linear layers on states of other widths and types."""

from __future__ import annotations

import torch
from torch import nn

from audiossl.nn.linear import in_dtype_of, linear_or_identity, project


def test_equal_widths_need_no_layer() -> None:
    assert isinstance(linear_or_identity(4, 4), nn.Identity)
    made = linear_or_identity(4, 3)
    assert isinstance(made, nn.Linear)
    assert made.weight.shape == (3, 4)


def test_states_in_half_precision_are_widened_but_under_autocast() -> None:
    linear, states = nn.Linear(4, 3), torch.randn(2, 4).bfloat16()
    assert torch.equal(project(linear, states), linear(states.float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert project(linear, states).dtype == torch.bfloat16
    assert project(nn.Identity(), states) is states


def test_states_take_the_type_of_the_parameter() -> None:
    states = [torch.randn(2).half(), torch.randn(2).double()]
    assert [state.dtype for state in in_dtype_of(torch.zeros(1), states)] == [torch.float32] * 2
