"""Rounding to the nearest entry: which one, with what gradient, and what trains the entries."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError
from audiossl.nn.kmeans_quantizer import KMeansQuantizer


@pytest.mark.parametrize("shared", [False, True])
def test_the_nearest_entry_of_each_group(shared: bool) -> None:
    torch.manual_seed(0)
    made = KMeansQuantizer(2, 5, 8, shared=shared, commitment=0.5)
    with torch.no_grad():
        made.entries.normal_()
    x = torch.randn(2, 6, 8, requires_grad=True)
    found = made(x)
    z = made.norm(made.project(x.transpose(1, 2))).transpose(1, 2).unflatten(-1, (2, 4))
    assert made.entries.shape == (1 if shared else 2, 5, 4)
    books = made.entries.expand(2, 5, 4)
    distances = (z[:, :, :, None] - books).norm(dim=-1)  # (B, T, G, V)
    assert torch.equal(found.codes, distances.argmin(-1))
    chosen = torch.stack([books[group][found.codes[..., group]] for group in range(2)], dim=2)
    assert torch.equal(found.vectors, chosen.flatten(2))
    assert found.errors is not None
    torch.testing.assert_close(found.errors, 1.5 * (z - chosen).square().mean((-2, -1)))
    assert torch.equal(found.probabilities.argmax(-1), found.codes)
    assert torch.equal(found.probabilities.sum(-1), torch.ones(2, 6, 2))
    # The gradient of the vectors is that of what was rounded, and the entries have theirs from the errors.
    direction = torch.randn_like(found.vectors)
    (theirs,) = torch.autograd.grad((z.flatten(2) * direction).sum(), x, retain_graph=True)
    (ours,) = torch.autograd.grad((found.vectors * direction).sum(), x, retain_graph=True)
    torch.testing.assert_close(ours, theirs)
    found.errors.sum().backward()
    assert made.entries.grad is not None
    pull = (z - chosen).detach() * 2 / 8  # of the mean square over 8 channels
    expected = torch.zeros(2, 5, 4)
    for group in range(2):
        expected[group].index_add_(0, found.codes[..., group].flatten(), -pull[:, :, group].flatten(0, 1))
    expected = expected.sum(0, keepdim=True) if shared else expected
    torch.testing.assert_close(made.entries.grad, expected)


def test_a_width_that_groups_do_not_divide() -> None:
    with pytest.raises(ConfigError, match="8 numbers cannot be cut into 3 groups"):
        KMeansQuantizer(3, 5, 8)
