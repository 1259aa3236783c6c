"""`audiossl convert`: any format to ours and to that of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import miniatures as mini

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.conversion import convert


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm", "data2vec", "unispeech_sat", "distilhubert"])
def test_any_format_to_ours_and_to_transformers(tmp_path: Path, family: str) -> None:
    made = mini.encoder(family, **({"position_kernel": 95, "position_depth": 5} if family == "data2vec" else {}))
    content = mini.shell(made)
    content["cfg"]["model"] = mini.architecture(made, "data2vec_audio" if family == "data2vec" else family)
    source = {"wavlm": mini.microsoft, "distilhubert": mini.distiller}.get(family, lambda _: content)(made)
    path = mini.write(source, tmp_path / "theirs.pt")
    ours = convert(str(path), tmp_path / "ours.safetensors")
    folder = convert(str(tmp_path / "ours.safetensors"), tmp_path / "folder")
    assert (ours["form"], folder["form"]) == ("audiossl", "transformers")
    assert ours["difference"] == folder["difference"] == 0
    wanted = fingerprint(load_upstream(str(path)))
    assert fingerprint(load_upstream(str(tmp_path / "ours.safetensors"))) == wanted
    assert load_upstream(f"hf:{tmp_path / 'folder'}").name == family


def test_convert_overwrites_nothing_and_says_what_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is there already"):
        convert("tera_mini", tmp_path / "there.safetensors")
    with pytest.raises(CheckpointError, match="has no form in transformers"):
        convert("tera_mini", tmp_path / "folder")
    for to, message in {
        "transformers": r"The form of transformers is a folder, and .*new\.safetensors is none",
        "onnx": "There is no form 'onnx' to convert to, only audiossl and transformers",
    }.items():
        with pytest.raises(ConfigError, match=message):
            convert("tera_mini", tmp_path / "new.safetensors", to)
