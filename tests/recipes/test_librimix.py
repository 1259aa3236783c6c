"""LibriMix in its published layout, in miniature, written by the simulator."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.cut import Cut
from toys.recipes import prepare

from audiossl.data.manifests import read_manifest
from audiossl.data.simulation import SimulationConfig, simulate
from audiossl.data.sources import cuts_from_files
from audiossl.data.turns import turns_of

RATE_HZ = 8000
SPLITS = ("train-100", "dev", "test")


@pytest.fixture
def libri2mix(tmp_path: Path) -> Path:
    """Two mixtures a split, whose table still names the folder in which they were made."""
    splits: dict[str, list[Cut]] = {}
    for place, split in enumerate(SPLITS):
        splits[split] = []
        for number in range(2):
            path = tmp_path / f"{split}{number}.wav"
            soundfile.write(path, 0.2 * np.random.default_rng(10 * place + number).standard_normal(RATE_HZ), RATE_HZ)
            (cut,) = cuts_from_files([path], [path.stem])
            said = SupervisionSegment(cut.id, cut.id, 0, 1, speaker=path.stem)
            splits[split].append(replace(cut, supervisions=[said]))
    config = SimulationConfig(2, duration_s=3, turn_s=1, sample_rate_hz=RATE_HZ, keep_sources=True)
    simulate(splits, tmp_path / "made" / "Libri2Mix", config)
    shutil.move(tmp_path / "made" / "Libri2Mix", tmp_path / "Libri2Mix")
    return tmp_path / "Libri2Mix"


def test_turns_are_those_of_the_sources_or_of_rttm_files(
    libri2mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare("librimix", monkeypatch, libri2mix, tmp_path / "out", "--kind", "mix_clean")
    assert "dev 2, test 2, train 2" in capsys.readouterr().out
    shutil.copy(libri2mix / "train-100.rttm", libri2mix / "train.rttm")
    prepare("librimix", monkeypatch, libri2mix, tmp_path / "told", "--kind", "mix_clean", "--rttm", libri2mix)
    for split in ("train", "dev", "test"):
        energy, told = (list(read_manifest(tmp_path / out / f"{split}.jsonl.gz")) for out in ("out", "told"))
        for one, other in zip(energy, told, strict=True):
            spans = [sorted(turn[:2] for turn in turns_of(cut)) for cut in (one, other)]
            assert np.allclose(spans[0], spans[1], atol=0.02)
            assert {turn.speaker for turn in turns_of(one)} == {"source_1", "source_2"}
            assert all(turn.speaker.startswith(split) for turn in turns_of(other))


def test_what_is_not_there_is_one_sentence(libri2mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"has no metadata/mixture_\*_mix_both.csv"):
        prepare("librimix", monkeypatch, libri2mix, tmp_path / "out")
    shutil.rmtree(libri2mix / "dev" / "s2")
    with pytest.raises(SystemExit, match="nor its end below"):
        prepare("librimix", monkeypatch, libri2mix, tmp_path / "out", "--kind", "mix_clean")
