"""encoder.json: what is written is read again, and what is damaged is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import CheckpointError
from audiossl.core.files import read_json
from audiossl.encoders.encoder_file import EncoderFile, has_encoder_file, read_encoder_file

TUNED = EncoderFile(
    upstream="tera",
    options={"weights": "random", "width": 16},
    fingerprint="0badf00d",
    finetune={"mode": "lora", "lora_rank": 2, "lora_targets": ["qkv"]},
    up_to_layer=0,
    weights="checkpoints/last.safetensors",
    prefix="model/upstream.",
)


@pytest.mark.parametrize(
    "file", [TUNED, EncoderFile(weights="upstream.safetensors"), EncoderFile(runs=["folds/v0", "folds/v1"])]
)
def test_what_is_written_is_read_again(tmp_path: Path, file: EncoderFile) -> None:
    assert not has_encoder_file(tmp_path)
    file.write(tmp_path)
    assert has_encoder_file(tmp_path)
    assert read_encoder_file(tmp_path) == file
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.json"]


def test_what_is_empty_is_not_written(tmp_path: Path) -> None:
    EncoderFile(runs=["lr0.1"]).write(tmp_path)
    assert read_json(tmp_path / "encoder.json") == {"up_to_layer": None, "runs": ["lr0.1"]}
    TUNED.write(tmp_path)  # a layer 0 is a layer
    assert read_json(tmp_path / "encoder.json")["up_to_layer"] == 0


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not readable JSON"),
        (b'{"upstream": "te', "is not readable JSON"),
        (b"\xff\xfe", "is not readable JSON"),
        (b"[1]", "must hold a JSON object, not a list"),
        (b'{"upstraem": "tera"}', "there is no key 'upstraem'. Did you mean upstream"),
        (b'{"up_to_layer": "top"}', "'up_to_layer'"),
        (b'{"runs": "lr0.1"}', "'runs'"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "encoder.json").write_bytes(content)
    with pytest.raises(CheckpointError) as found:
        read_encoder_file(tmp_path)
    message = str(found.value)
    assert message.startswith(f"{tmp_path / 'encoder.json'} does not say which encoder the folder has: ")
    assert why in message
    assert "\n" not in message
