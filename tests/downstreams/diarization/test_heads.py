"""The LSTM of a head: padding changes nothing in either direction."""

from __future__ import annotations

import pytest
import torch

from audiossl.downstreams.diarization.heads import SpeakerHead


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing(bidirectional: bool) -> None:
    torch.manual_seed(0)
    head = SpeakerHead(4, 3, hidden=5, num_layers=2, bidirectional=bidirectional, normalize=True)
    x = torch.randn(2, 9, 4)
    whole = head(x, torch.tensor([9, 6]))
    assert whole.shape == (2, 9, 3)
    assert torch.allclose(head(x[1:, :6], torch.tensor([6]))[0], whole[1, :6], atol=1e-6)
    sees_ahead = not torch.allclose(head(x[:1, :6], torch.tensor([6]))[0], whole[0, :6], atol=1e-6)
    assert sees_ahead == bidirectional
