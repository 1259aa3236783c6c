"""A level is that of the whole sound above what is added."""

from __future__ import annotations

import pytest
import torch

from audiossl.nn.mixing import mixed


def test_what_is_added_has_its_level_and_place() -> None:
    draw = torch.Generator().manual_seed(0)
    sound, other = torch.randn(1000, generator=draw), 7 * torch.randn(300, generator=draw)
    for level_db in (-5.0, 0.0, 20.0):
        added = mixed(sound, other, 650, level_db) - sound
        assert not added[:650].any()
        assert not added[950:].any()
        ratio = sound.square().mean() / added[650:950].square().mean()
        assert float(10 * ratio.log10()) == pytest.approx(level_db, abs=1e-3)
    expected = torch.tensor([1.0, 1.1, 0.9, 1.0])
    torch.testing.assert_close(mixed(torch.ones(4), torch.tensor([2.0, -2.0]), 1, 20.0), expected)


def test_silence_changes_nothing() -> None:
    sound = torch.ones(4)
    assert torch.equal(mixed(sound, torch.zeros(2), 0, 0.0), sound)
    assert torch.equal(mixed(torch.zeros(4), torch.ones(2), 0, 0.0), torch.zeros(4))
