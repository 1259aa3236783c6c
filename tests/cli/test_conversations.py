"""`audiossl data simulate` and `data from-rttm`: there and back, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, SupervisionSegment

from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_files
from audiossl.data.turns import turns_of

RATE_HZ = 8000
OPTIONS = ("--num-mixtures", "2", "--duration-s", "4", "--turn-s", "1", "--sample-rate", str(RATE_HZ))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three speakers of one recording each."""
    made = []
    for number in range(3):
        path = tmp_path / f"voice {number}.wav"
        soundfile.write(path, 0.2 * np.random.default_rng(number).standard_normal(2 * RATE_HZ), RATE_HZ)
        (cut,) = cuts_from_files([path], [f"row{number}"])
        made.append(replace(cut, supervisions=[SupervisionSegment(cut.id, cut.id, 0, 2, speaker=f"s{number}")]))
    return write_manifests({"train": CutSet.from_cuts(made)}, tmp_path / "alone")["train"]


def test_mixtures_come_back_from_their_rttm(manifest: Path, tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    done = audiossl("data", "simulate", manifest, "--out", tmp_path / "mixed", *OPTIONS)
    assert done.code == 0, done.err
    assert "train: 2 recordings" in done.out
    folder = tmp_path / "mixed"
    done = audiossl(
        "data", "from-rttm", folder / "train.rttm", "--audio-root", folder / "train", "--out", tmp_path / "again"
    )
    assert done.code == 0, done.err
    made, again = (list(read_manifest(each / "train.jsonl.gz")) for each in (folder, tmp_path / "again"))
    for one, other in zip(made, again, strict=True):
        assert np.allclose([turn[:2] for turn in turns_of(one)], [turn[:2] for turn in turns_of(other)], atol=1e-3)
        assert [turn.speaker for turn in turns_of(one)] == [turn.speaker for turn in turns_of(other)]


def test_what_is_wrong_is_one_sentence(manifest: Path, tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    late = tmp_path / "late.rttm"
    late.write_text("SPEAKER voice_0 1 0 9 <NA> <NA> ann <NA> <NA>\n")
    (tmp_path / "voice 0.wav").rename(tmp_path / "voice_0.wav")
    done = audiossl("data", "from-rttm", late, "--audio-root", tmp_path, "--out", tmp_path / "out")
    assert done.code == 2
    assert "late.rttm line 1: 0 s to 9 s is outside" in done.err
    late.write_text(";; nobody\n")
    assert "has no turn" in audiossl("data", "from-rttm", late, "--out", tmp_path / "out").err
    twin = manifest.rename(manifest.with_name("dev.jsonl.gz"))
    other = tmp_path / "train.jsonl.gz"
    other.write_bytes(twin.read_bytes())
    done = audiossl("data", "simulate", twin, other, "--out", tmp_path / "mixed", *OPTIONS)
    assert "share 3 of speaker" in done.err
    assert not list((tmp_path / "mixed").glob("*"))
