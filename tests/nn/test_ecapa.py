"""ECAPA-TDNN: speechbrain's weights, embeddings and gradients, and nothing that padding changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from audiossl.nn.ecapa import EcapaTdnn


def small(seed: int = 0) -> EcapaTdnn:
    torch.manual_seed(seed)
    return EcapaTdnn(10, 16, 6)


def theirs(seed: int = 0) -> Any:
    pytest.importorskip("speechbrain")
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    torch.manual_seed(seed)
    return ECAPA_TDNN(10, lin_neurons=6, channels=[16, 16, 16, 16, 48])


def trained(model: nn.Module) -> nn.Module:
    """With weights of normalisation that are not those of the beginning."""
    draw = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 2.0, generator=draw)
            for tensor in (module.bias, module.running_mean):
                tensor.data.normal_(generator=draw)
    return model


def test_it_begins_with_the_weights_and_names_of_speechbrain() -> None:
    ours, other = small().state_dict(), theirs().state_dict()
    assert list(ours) == list(other)
    assert all(torch.equal(ours[name], other[name]) for name in ours)


@pytest.mark.parametrize("training", [False, True])
def test_embeddings_and_gradients_are_those_of_speechbrain(training: bool) -> None:
    other = trained(theirs(seed=1)).train(training)
    ours = small()
    ours.load_state_dict(other.state_dict())
    ours.train(training)
    x = torch.randn(5, 40, 10, generator=torch.Generator().manual_seed(2))
    made, expected = ours(x, torch.full((5,), 40)), other(x)[:, 0]
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)
    made.square().sum().backward()
    expected.square().sum().backward()
    for (name, mine), parameter in zip(ours.named_parameters(), other.parameters(), strict=True):
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(mine.grad, parameter.grad, rtol=1e-4, atol=1e-5 * max(scale, 1.0), msg=name)
    for name, value in other.state_dict().items():  # running statistics
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing() -> None:
    model = trained(small()).eval()
    lengths = torch.tensor([40, 5, 23, 39])
    x = torch.randn(4, 40, 10)
    alone = torch.cat([model(item[None, :length], length[None]) for item, length in zip(x, lengths, strict=True)])
    for item, length in zip(x, lengths, strict=True):
        item[length:] = torch.nan
    torch.testing.assert_close(model(x, lengths), alone, rtol=1e-5, atol=1e-5)
    longer = torch.cat([x, torch.full((4, 7, 10), 1e4)], dim=1)
    torch.testing.assert_close(model(longer, lengths), alone, rtol=1e-5, atol=1e-5)


def test_shorter_items_are_repeated_in_training() -> None:
    x, lengths = torch.randn(2, 12, 10), torch.tensor([12, 5])
    repeated = x.clone()
    repeated[1] = torch.cat([x[1, :5], x[1, :5], x[1, :2]])
    x[1, 5:] = torch.nan
    ours, other = small().train(), small().train()
    torch.testing.assert_close(ours(x, lengths), other(repeated, torch.tensor([12, 12])))
    torch.testing.assert_close(ours.state_dict(), other.state_dict())  # running statistics, too


def test_a_batch_of_one_has_the_running_statistics() -> None:
    model, x, length = trained(small()), torch.randn(1, 9, 10), torch.tensor([9])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = model.train()(x, length)
    torch.testing.assert_close(made, model.eval()(x, length))
    made.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
