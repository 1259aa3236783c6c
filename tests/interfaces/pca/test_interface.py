"""Principal components against scikit-learn, in one batch or many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.types import Features
from audiossl.interfaces.pca.interface import Pca, component_shares
from audiossl.training.interface import load_interface


def correlated(widths: tuple[int, ...], lengths: tuple[int, ...], seed: int) -> Features:
    """Frames with clear principal axes and a mean far from zero; NaN in the padding."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for width in widths:
        axes = torch.randn(width, width, generator=torch.Generator().manual_seed(width))
        scales = 2.0 ** -torch.arange(width)
        x = torch.randn(len(lengths), max(lengths), width, generator=generator) * scales @ axes + 30.0
        for item, length in enumerate(lengths):
            x[item, length:] = float("nan")
        layers.append(x)
    return Features(tuple(layers), torch.tensor(lengths))


def test_components_agree_with_scikit_learn() -> None:
    widths = (6, 4, 5)
    batches = [correlated(widths, (50, 20), 1), correlated(widths, (1, 33), 2), correlated(widths, (70,), 3)]
    interface = Pca(widths, Pca.Config(width=8))
    assert interface.needs_fit
    interface.fit(iter(batches))
    assert not interface.needs_fit
    items = [batch.item(row) for batch in batches for row in range(len(batch.lengths))]
    result = interface(batches[0])[0].numpy()
    start = 0
    for layer, share in enumerate(interface.shares):
        frames = np.concatenate([item[layer].double().numpy() for item in items])
        model = PCA(share, svd_solver="full").fit(frames)
        expected = model.transform(frames[:50])
        ours = result[:, start : start + share]
        signs = np.sign((ours * expected).sum(axis=0))
        np.testing.assert_allclose(ours * signs, expected, atol=2e-4)
        start += share
    assert start == 8


def test_components_are_orthonormal_with_a_fixed_sign() -> None:
    interface = Pca((6, 6), Pca.Config(width=7))
    interface.fit([correlated((6, 6), (90,), 4)])
    for layer in range(2):
        components = interface.get_buffer(f"components_{layer}")
        torch.testing.assert_close(components @ components.T, torch.eye(len(components)), atol=1e-5, rtol=0)
        assert (components.gather(1, components.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_batches_do_not_matter() -> None:
    whole = correlated((5,), (64,), 5)
    parts = [Features((whole.layers[0][:, start : start + 8],), torch.tensor([8])) for start in range(0, 64, 8)]
    one, many = Pca((5,)), Pca((5,))
    one.fit([whole])
    many.fit(parts)
    torch.testing.assert_close(one.components_0, many.components_0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.mean_0, many.mean_0)


def test_unfitted_is_a_clear_error() -> None:
    interface = load_interface("pca", (5,))
    with pytest.raises(TrainingError, match="not been fitted"):
        interface(correlated((5,), (9,), 0))


def test_nothing_is_learnt_by_gradient() -> None:
    assert not list(load_interface("pca", (5, 5)).parameters())


@pytest.mark.parametrize(("lengths", "reason"), [((1,), "1 frames"), ((), "0 frames")])
def test_too_few_frames_are_an_error(lengths: tuple[int, ...], reason: str) -> None:
    batches = [correlated((5,), lengths, 0)] if lengths else []
    interface = load_interface("pca", (5,))
    with pytest.raises(TrainingError, match=reason):
        interface.fit(batches)
    assert interface.needs_fit


def test_states_that_are_not_finite_are_an_error() -> None:
    features = correlated((5,), (9,), 0)
    features.layers[0][0, 3] = float("inf")
    with pytest.raises(TrainingError, match="not finite"):
        load_interface("pca", (5,)).fit([features])


def test_more_components_than_there_are_is_an_error() -> None:
    with pytest.raises(ConfigError, match="9 components"):
        load_interface("pca", (5, 4), width=10)


@pytest.mark.parametrize(
    ("total", "widths", "shares"),
    [(768, [768] * 13, [60] + [59] * 12), (5, [5], [5]), (2, [4, 4, 4], [1, 1, 0]), (12, [1, 2, 9], [1, 2, 9])],
)
def test_shares_add_up(total: int, widths: list[int], shares: list[int]) -> None:
    assert component_shares(total, widths) == shares
