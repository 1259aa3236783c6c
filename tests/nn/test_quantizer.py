"""The Gumbel quantiser: its choice, its gradient, its noise by item, its statistics."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError
from audiossl.nn.draws import keyed_generator
from audiossl.nn.quantizer import GumbelQuantizer, code_perplexity, code_usage, gumbel_noise, item_means


def quantizer(seed: int = 0) -> GumbelQuantizer:
    torch.manual_seed(seed)
    return GumbelQuantizer(6, 2, 5, 8)


def test_without_noise_the_most_probable_entries_are_joined() -> None:
    made, x = quantizer(), torch.randn(7, 6)
    vectors, codes, probabilities, errors = made(x)
    logits = made.logits(x).view(7, 2, 5)
    assert torch.equal(codes, logits.argmax(-1))
    expected = torch.cat([made.entries[0, codes[:, 0]], made.entries[1, codes[:, 1]]], dim=1)
    assert torch.equal(vectors, expected)
    torch.testing.assert_close(probabilities, logits.softmax(-1))
    assert errors is None  # the gradient of the vectors reaches the entries


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_choice_and_gradient_are_those_of_torch_with_the_same_noise(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, x = quantizer(), torch.randn(7, 6)
    noise = gumbel_noise([7], 2, 5, [keyed_generator(0)])
    weights = torch.randn(7, 8)
    (weights * made(x, temperature, noise).vectors).sum().backward()
    found = made.logits.weight.grad
    made.zero_grad()
    # torch draws by itself; what it draws is replaced by ours.
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self: torch.exp(-noise))
    hard = torch.nn.functional.gumbel_softmax(made.logits(x).view(7, 2, 5), tau=temperature, hard=True)
    (weights * torch.einsum("ngv,gvd->ngd", hard, made.entries).flatten(1)).sum().backward()
    torch.testing.assert_close(found, made.logits.weight.grad, rtol=1e-4, atol=1e-6)


def test_noise_of_an_item_is_its_own_and_gumbel() -> None:
    both = gumbel_noise([3, 4], 2, 5, [keyed_generator("a"), keyed_generator("b")])
    assert torch.equal(both[3:], gumbel_noise([4], 2, 5, [keyed_generator("b")]))
    many = gumbel_noise([2000], 2, 5, [keyed_generator(0)])
    assert float(many.mean()) == pytest.approx(0.5772, abs=0.03)  # Euler's constant
    assert float(many.var()) == pytest.approx(1.645, abs=0.06)  # pi^2 / 6


def test_perplexity_is_between_one_and_all_codes_of_a_group() -> None:
    assert float(code_perplexity(torch.full((2, 5), 0.2))) == pytest.approx(10)
    assert float(code_perplexity(torch.eye(5)[:2])) == pytest.approx(2)


def test_perplexity_has_a_finite_gradient_where_a_softmax_underflows() -> None:
    logits = torch.tensor([[[0.0, -200.0]]], requires_grad=True)
    code_perplexity(logits.softmax(-1).mean(0)).backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_means_by_item() -> None:
    rows = torch.tensor([[1.0], [3.0], [10.0]])
    assert item_means(rows, torch.tensor([2, 0, 1])).tolist() == [[2.0], [0.0], [10.0]]


def test_usage_counts_entries_of_all_groups() -> None:
    assert float(code_usage(torch.tensor([[0, 1], [0, 2]]), 4)) == pytest.approx(3 / 8)


def test_groups_must_share_the_width() -> None:
    with pytest.raises(ConfigError, match="7 numbers cannot be cut into 2 groups"):
        GumbelQuantizer(6, 2, 5, 7)


def test_one_codebook_for_all_groups_and_a_layer_before_the_logits() -> None:
    torch.manual_seed(0)
    made = GumbelQuantizer(6, 2, 5, 8, shared=True, hidden=7)
    x = torch.randn(2, 3, 6)
    found = made(x)
    assert made.entries.shape == (1, 5, 4) and found.vectors.shape == (2, 3, 8)
    logits = made.logits[2](made.logits[1](made.logits[0](x))).unflatten(-1, (2, 5))  # type: ignore[index]
    assert torch.equal(found.codes, logits.argmax(-1))
    assert torch.equal(found.vectors, made.entries[0][found.codes].flatten(-2))
