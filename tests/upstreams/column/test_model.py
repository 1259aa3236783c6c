"""Vectors of a column, as tables and JSON write them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.rows import rows_that_say

from audiossl import load_upstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.tensors import fingerprint
from audiossl.data.loader import collate


def test_vectors_are_read_as_they_are_written(tmp_path: Path) -> None:
    cuts = list(
        rows_that_say(tmp_path, [{"embedding": "1 -2.5 3e-1"}, {"embedding": "[4; 5; 6]"}, {"embedding": "0|0|1"}])
    )
    cuts[2].supervisions[0].custom["embedding"] = [0.0, 7.25, 1.0]
    upstream = load_upstream("column", width=3)
    features = upstream.of_batch(collate(cuts, 16000))
    expected = torch.tensor([[1, -2.5, 0.3], [4, 5, 6], [0, 7.25, 1]])
    torch.testing.assert_close(features.layers[0][:, 0], expected)
    assert fingerprint(upstream) != fingerprint(load_upstream("column", width=3, field="other"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2", "has 2 numbers in the field 'embedding', and vectors of 3 finite numbers are read"),
        ("1 nan 2", "has a number that is not finite in the field 'embedding'"),
        ("happy", "has 'happy' in the field 'embedding', which is no vector"),
        ("", "has nothing in the field 'embedding', which column reads"),
    ],
)
def test_what_is_no_vector_is_refused(text: str, words: str, tmp_path: Path) -> None:
    cuts = list(rows_that_say(tmp_path, [{"embedding": text, "label": "a"}]))
    with pytest.raises(LabelError, match=f"Row '0' {words}"):
        load_upstream("column", width=3).of_batch(collate(cuts, 16000))


def test_the_width_must_be_said() -> None:
    with pytest.raises(ConfigError, match="say how many numbers one has, by upstream_options.width"):
        load_upstream("column")
