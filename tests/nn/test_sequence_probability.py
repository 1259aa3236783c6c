"""The probability of a sequence under CTC, against PyTorch's loss and against all paths."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
import torch

from audiossl.nn.sequence_probability import sequence_log_probs


@pytest.mark.parametrize(("steps", "classes", "peak"), [(1, 3, 1.0), (12, 4, 1.0), (60, 30, 8.0), (400, 20, 30.0)])
def test_it_is_the_loss_of_pytorch(steps: int, classes: int, peak: float) -> None:
    generator = torch.Generator().manual_seed(steps)
    log_probs = (peak * torch.randn(steps, classes, generator=generator, dtype=torch.float64)).log_softmax(-1)
    sequences = [[], [1], [1, 1], [2, 1, 2], *([1 + n % (classes - 1) for n in range(size)] for size in (5, 9, 25))]
    flat = torch.tensor([number for each in sequences for number in each])
    sizes = torch.tensor([len(each) for each in sequences])
    expected = torch.nn.functional.ctc_loss(
        log_probs[:, None].expand(-1, len(sequences), -1), flat, torch.full_like(sizes, steps), sizes, reduction="none"
    )
    found = sequence_log_probs(log_probs.numpy(), sequences)
    np.testing.assert_allclose(found, -expected.numpy(), rtol=1e-10)


def test_it_is_the_sum_over_all_paths() -> None:
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(3), 5))
    sums: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=5):
        text = tuple(number for number, _ in groupby(path) if number)
        sums[text] = sums.get(text, 0.0) + float(np.exp(sum(log_probs[t, number] for t, number in enumerate(path))))
    found = sequence_log_probs(log_probs, list(sums))
    np.testing.assert_allclose(np.exp(found), list(sums.values()), rtol=1e-12)
    assert sequence_log_probs(log_probs, [[1] * 4, [2] * 6]).tolist() == [-np.inf, -np.inf]


def test_what_is_impossible_is_minus_infinity() -> None:
    log_probs = np.full((3, 2), -np.inf)
    log_probs[:, 1] = 0.0
    assert sequence_log_probs(log_probs, [[1], []]).tolist() == [0.0, -np.inf]
