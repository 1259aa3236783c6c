"""The head of a number."""

from __future__ import annotations

import pytest
import torch

from audiossl.core.errors import ConfigError, LabelError
from audiossl.downstreams.multi_task.numbers import NumberHead, finite_number
from audiossl.downstreams.multi_task.target import Target


@pytest.mark.parametrize("text", ["", "loud", "nan", "inf", "1,5"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(LabelError, match=f"'{text}', which is no finite number"):
        finite_number(text)


def test_it_is_standardised_by_all_training_rows() -> None:
    made = NumberHead.complete(Target("number"), ["1", "3", "5"])
    assert (made.mean, made.scale) == (3, pytest.approx((8 / 3) ** 0.5))
    assert NumberHead.complete(made, ["100", "200"]) is made  # what is filled in stays
    with pytest.raises(LabelError, match="is 2 in every training row"):
        NumberHead.complete(Target("number"), ["2", "2.0"])
    with pytest.raises(ConfigError, match="scale: `complete` takes it"):
        NumberHead("x", Target("number"), 4)


def test_values_have_six_decimals_of_a_deviation() -> None:
    for scale in (1e-4, 1.0, 1e5):
        head = NumberHead("x", Target("number", mean=0.0, scale=scale), 4)
        ((value, scores),) = head.predictions(torch.tensor([[0.123456789]]))
        assert scores is None
        assert value / scale == pytest.approx(0.123457, abs=2e-6)
        assert head.error(0.0, value) == pytest.approx(0.123457, abs=2e-6)
    assert head.united([1.0, 3.0], []) == (2.0, None)
