"""No file chooses what code runs, and no damaged file is more than a sentence."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.tera import original

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.pickled import read_pickled


class Touch:
    """Unpickling this calls os.system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    path, trace = tmp_path / "states.ckpt", tmp_path / "it-ran"
    evil = {**original(), "Settings": Touch(trace)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(Touch(trace)))
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match="holds pickled code that audiossl does not run"):
        load_upstream(f"s3prl:{path}")
    assert not trace.exists()
    if form == "pickle":  # the trap does work
        pickle.loads(path.read_bytes())  # noqa: S301
        assert trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_torch_file_that_is_cut_off_is_one_sentence(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "states.ckpt"
    torch.save(original(), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"is not a whole torch checkpoint|is damaged") as caught:
        load_upstream(f"s3prl:{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_one_sentence(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "states.ckpt"
    noise = torch.randint(256, (400,), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    path.write_bytes((b"\x80\x02" if seed % 2 else b"") + noise.numpy().tobytes())
    with pytest.raises(CheckpointError):
        read_pickled(path)


@pytest.mark.slow
def test_real_files_are_read_or_refused_in_one_sentence() -> None:
    folder = os.environ.get("AUDIOSSL_GOLDEN")
    if not folder:
        pytest.skip("AUDIOSSL_GOLDEN does not name the folder of reference checkpoints")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".ckpt", ".pt", ".pth"))
    read, refused = [], []
    for path in paths:
        try:
            upstream = load_upstream(f"s3prl:{path}")
        except CheckpointError as error:
            refused.append(str(error))
        else:
            read.append(path.stem)
            assert all(state.isfinite().all() for state in upstream(torch.randn(1, 16000)).layers)
    assert "tera" in read
    assert refused
    assert not [message for message in refused if "\n" in message]
