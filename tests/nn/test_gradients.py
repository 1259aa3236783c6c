"""Scaled gradients."""

from __future__ import annotations

import pytest
import torch

from audiossl.nn.gradients import scale_gradient


@pytest.mark.parametrize("factor", [0.0, 0.1, 1.0, -0.5])
def test_the_value_stays_and_the_gradient_is_scaled(factor: float) -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    made = scale_gradient(x, factor)
    assert torch.equal(made, x)
    (made.square().sum() + 0 * x.sum()).backward()
    torch.testing.assert_close(x.grad, factor * 2 * x.detach())
