"""What is left of hidden states in each type."""

from __future__ import annotations

import pytest
import torch
from toys.cache import WIDTHS, states

from audiossl.features.codec import Codec


@pytest.mark.parametrize(("dtype", "error"), [("fp16", 4e-4), ("bf16", 3e-3), ("fp32", 0.0), ("int8", 1e-2)])
def test_layers_come_back_one_by_one_and_together(dtype: str, error: float) -> None:
    codec = Codec(dtype, WIDTHS)
    one, two = codec.encode(states(1)), codec.encode(states(2))
    assert one is not None
    assert two is not None
    assert one.numel() == codec.num_bytes(9)
    assert one.numel() % 64 == 0
    for place, width in enumerate(WIDTHS):
        (alone,) = codec.decode(one, 9, (place,))
        together = codec.decode(torch.stack([one, two]), 9, (0, 1))[place]
        assert together.shape == (2, 9, width)
        assert torch.equal(together[0], alone)
        exact = states(1)[place]
        assert (alone.float() - exact).norm() <= error * exact.norm()
        assert dtype == "int8" or alone.untyped_storage().data_ptr() == one.untyped_storage().data_ptr()  # no copy


@pytest.mark.parametrize(
    ("dtype", "values", "kept"),
    [
        ("fp16", 1e5, False),  # overflow
        ("fp16", 1e-8, False),  # nothing left
        ("fp32", 1e5, True),
        ("bf16", 1e5, True),
        ("int8", 1e5, True),
        ("fp16", 0.0, True),
        ("int8", 0.0, True),
    ],
)
def test_what_a_type_cannot_hold_is_refused(dtype: str, values: float, kept: bool) -> None:
    layers = [values * state for state in states(0)]
    assert (Codec(dtype, WIDTHS).encode(layers) is not None) == kept


def test_frames_of_one_layer_may_differ_a_thousandfold_in_int8() -> None:
    (layer,) = [torch.randn(5, 24) * torch.tensor([1.0, 1e3, 1e-3, 1.0, 0.0])[:, None]]
    codec = Codec("int8", (24,))
    record = codec.encode([layer])
    assert record is not None
    (found,) = codec.decode(record, 5, (0,))
    assert ((found - layer).norm(dim=1) <= 0.01 * layer.norm(dim=1)).all()
