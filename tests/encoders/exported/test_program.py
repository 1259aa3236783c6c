"""What the metadata of a file say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import CheckpointError
from audiossl.encoders.exported.program import Program, read_metadata


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, {}),
        ({"sample_rate": "32000"}, {"sample_rate_hz": 32000}),
        ({"sample_rate": "fast"}, {}),
        ({"audiossl": json.dumps({"encoder": {"stride": 320}}), "sample_rate": "1"}, {"stride": 320}),
        ({"audiossl": json.dumps({"labels": ["a"]})}, {}),
    ],
)
def test_what_metadata_say(metadata: dict[str, str], said: dict[str, Any]) -> None:
    program = Program("onnx", Path("x.onnx"), "", None, metadata, lambda wav, names: {})
    assert (program.said, str(program)) == (said, "onnx:x.onnx")


@pytest.mark.parametrize("text", ["{", "[]", '{"encoder": 3}'])
def test_other_text_is_one_sentence(text: str) -> None:
    with pytest.raises(
        CheckpointError, match=r"The metadata of x under 'audiossl' are not what audiossl writes; export"
    ):
        read_metadata(text, "x")
