"""TorchScript files: whose code runs, and what they give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.graphs import write_scripted

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import AudioError, CheckpointError
from audiossl.encoders.exported.torchscript_file import read_torchscript
from audiossl.encoders.naming import named_by


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))


def test_an_encoder_of_code(tmp_path: Path) -> None:
    file = write_scripted(tmp_path / "frames.pt")
    facts = {"sample_rate_hz": 8000, "outputs": ["0", "1"], "stride": 40, "receptive_field": 40}
    upstream = load_upstream(f"torchscript:{file}", **facts)
    assert (upstream.widths, upstream.num_frames(8000), upstream.display_name) == ((1, 1), 200, "torchscript:frames.pt")
    assert check_upstream(upstream).padding_error == 0
    with pytest.raises(AudioError, match=r"cannot be run on 3 samples \("):
        upstream.program.run(torch.zeros(1, 3), ())


def test_a_folder_runs_no_code_that_no_user_has_run(tmp_path: Path) -> None:
    file = write_scripted(tmp_path / "frames.pt")
    reference, facts = f"torchscript:{file}", {"sample_rate_hz": 8000, "stride": 40, "receptive_field": 40}
    with named_by(tmp_path / "run", paths=True), pytest.raises(CheckpointError, match="which nobody has run here, and"):
        load_upstream(reference, outputs="0", **facts)
    load_upstream(reference, outputs="0", **facts)
    with named_by(tmp_path / "run", paths=True):
        assert load_upstream(reference, outputs="0", **facts).widths == (1,)
    with (
        named_by(tmp_path / "mine.safetensors"),
        pytest.raises(CheckpointError, match="a checkpoint may only name one"),
    ):
        load_upstream(reference, outputs="0", **facts)


def test_without_its_prefix_it_is_refused(tmp_path: Path) -> None:
    file = write_scripted(tmp_path / "frames.pt")
    with pytest.raises(CheckpointError, match=r"name it torchscript:.*frames\.pt if you trust its code"):
        load_upstream(str(file))


def test_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(write_scripted(tmp_path / "b.pt").read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"\(500 bytes\) is no whole TorchScript file"):
        read_torchscript(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="There is no file"):
        read_torchscript(tmp_path / "c.pt")
