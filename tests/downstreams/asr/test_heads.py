"""The heads of recognition against second implementations."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiossl.downstreams.asr.heads import Bidirectional, join_frames


def test_both_directions_equal_a_packed_lstm() -> None:
    torch.manual_seed(0)
    lengths, x = torch.tensor([9, 4, 1]), torch.randn(3, 9, 5)
    ours, theirs = Bidirectional(5, 7), nn.LSTM(5, 7, batch_first=True, bidirectional=True)
    names = [name.removesuffix("_reverse") for name, _ in theirs.named_parameters() if name.endswith("_reverse")]
    ours.ahead.load_state_dict({name: getattr(theirs, name) for name in names})
    ours.back.load_state_dict({name: getattr(theirs, f"{name}_reverse") for name in names})
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(ours(x, lengths)[row, :length], expected[row, :length])


def test_joined_frames_are_exact_and_end_in_zeros() -> None:
    x = torch.arange(14.0).reshape(2, 7, 1) + 1
    joined, lengths = join_frames(x, torch.tensor([7, 4]), 3)
    assert lengths.tolist() == [3, 2]
    assert joined.tolist() == [
        [[1, 2, 3], [4, 5, 6], [7, 0, 0]],
        [[8, 9, 10], [11, 0, 0], [0, 0, 0]],
    ]
