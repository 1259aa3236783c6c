"""LSTMs as an operator of ONNX: what is replaced. Numbers are asserted of a whole graph, in test_exporting.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiossl.encoders.engines.recurrent import OnnxLstm, with_onnx_lstms


def test_plain_ones_are_replaced_and_others_stay() -> None:
    module = nn.ModuleDict(
        {
            "plain": nn.LSTM(4, 6, batch_first=True),
            "both": nn.LSTM(4, 6, batch_first=True, bidirectional=True),
            "deep": nn.LSTM(4, 6, 2, batch_first=True),
        }
    )
    kinds = [type(part) for part in with_onnx_lstms(module).values()]
    assert kinds == [OnnxLstm, nn.LSTM, nn.LSTM]


def test_gates_are_in_the_order_of_onnx() -> None:
    lstm = nn.LSTM(1, 1, batch_first=True)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))  # input, forget, cell, output
    made = OnnxLstm(lstm)
    assert made.weight.flatten().tolist() == [1, 4, 2, 3]
    assert made.bias.shape == (1, 8)
    pytest.importorskip("onnxscript")
    assert made(torch.zeros(1, 5, 1))[0].shape == (1, 5, 1)
