"""Scores of frames and of utterances."""

from __future__ import annotations

import torch

from audiossl.downstreams.mos_prediction.heads import Conditions, FrameScores, UtteranceScore


def test_a_frame_score_does_not_see_padding_and_sees_the_listener() -> None:
    torch.manual_seed(0)
    head, conditions = FrameScores(5, 6, 4, 8, 0.0).eval(), Conditions(1, 2, 3)
    x, lengths = torch.randn(2, 7, 5), torch.tensor([7, 4])
    who = conditions(torch.tensor([0, 0]), torch.tensor([0, 2]))
    with torch.no_grad():
        together = head(x, lengths, who)
        alone = head(x[1:, :4], lengths[1:], who[1:])
        other = head(x[1:, :4], lengths[1:], conditions(torch.tensor([0]), torch.tensor([1])))
    torch.testing.assert_close(together[1:, :4], alone)
    assert not torch.allclose(alone, other)


def test_an_utterance_has_one_score() -> None:
    assert UtteranceScore(5, 6, 8, 0.0)(torch.randn(3, 5), torch.randn(3, 6)).shape == (3,)
