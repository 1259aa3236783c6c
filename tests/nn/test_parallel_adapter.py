"""The adapter beside a feed-forward part: nothing at first, the equation, noise, and passing over it."""

from __future__ import annotations

import torch

from audiossl.nn.parallel_adapter import ParallelAdapter, beside


def test_it_adds_what_the_equation_says_and_nothing_at_first() -> None:
    torch.manual_seed(0)
    adapter, x, change = ParallelAdapter(6, 3), torch.randn(2, 5, 6), torch.randn(2, 5, 6)
    assert torch.equal(beside(adapter, change, x), change)
    torch.nn.init.normal_(adapter.up.weight)
    expected = change + torch.relu(x @ adapter.down.weight.T + adapter.down.bias) @ adapter.up.weight.T
    torch.testing.assert_close(beside(adapter, change, x), expected)
    assert beside(None, change, x) is change
    adapter.active = False
    assert beside(adapter, change, x) is change


def test_noise_is_a_share_of_the_hidden_units_in_training() -> None:
    torch.manual_seed(0)
    adapter, x = ParallelAdapter(8, 4000, noise=0.5), torch.randn(200, 8)
    torch.nn.init.eye_(adapter.up.weight)  # its outputs are the first 8 hidden units
    quiet = adapter.eval()(x)
    assert torch.equal(quiet, adapter(x))
    hidden = torch.relu(adapter.down(x)).mean(-1, keepdim=True)
    share = ((adapter.train()(x) - quiet) / hidden).std()
    assert 0.25 < float(share.detach()) < 0.38  # deviations between 0.1 and 0.5: 0.32 together
