"""Simulated conversations: overlap, levels, speakers, files and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.fields import read_field
from audiossl.data.simulation import SimulationConfig, simulate
from audiossl.data.sources import cuts_from_files
from audiossl.data.turns import read_rttm, speakers_at, speech_and_overlap_s, turns_of

RATE_HZ = 8000
CONFIG = SimulationConfig(num_mixtures=3, duration_s=12, turn_s=2, sample_rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[MonoCut]:
    """Two recordings of each of four speakers: tones of their own, with silence between and around."""
    folder, made = tmp_path_factory.mktemp("voices"), []
    for number in range(8):
        rng = np.random.default_rng(number)
        parts = [np.zeros(1600)]
        for _ in range(4):
            tone = 0.3 * np.sin(2 * np.pi * 300 * (1 + number // 2) * np.arange(rng.integers(4000, 9000)) / RATE_HZ)
            parts += [tone, np.zeros(3200)]
        path = folder / f"{number}.wav"
        soundfile.write(path, np.concatenate(parts), RATE_HZ)
        (cut,) = cuts_from_files([path], [f"row{number}"])
        said = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, speaker=f"s{number // 2}")]
        made.append(replace(cut, supervisions=said))
    return made


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.4])
def test_overlap_is_what_was_wanted(rows: list[MonoCut], tmp_path: Path, overlap: float) -> None:
    cuts = simulate({"train": rows}, tmp_path, replace(CONFIG, overlap=overlap))["train"]
    total = np.sum([speech_and_overlap_s(turns_of(cut)) for cut in cuts], axis=0)
    assert total[1] / total[0] == pytest.approx(overlap, abs=0.05)
    for cut in cuts:
        turns = turns_of(cut)
        speech_s, overlap_s = speech_and_overlap_s(turns)
        assert read_field(cut, "overlap") == f"{overlap_s / speech_s:.4f}"
        assert 12 <= cut.duration < 18
        assert len({turn.speaker for turn in turns}) == 2
        assert turns[-1].end_s <= cut.duration
    written = read_rttm(tmp_path / "train.rttm")
    assert {name: len(turns) for name, turns in written.items()} == {cut.id: len(turns_of(cut)) for cut in cuts}


def test_sound_is_where_turns_are_and_sources_add_up(rows: list[MonoCut], tmp_path: Path) -> None:
    config = replace(CONFIG, num_mixtures=1, num_speakers=3, keep_sources=True, snr_db=(6.0, 6.0))
    (cut,) = simulate({"dev": rows}, tmp_path, config)["dev"]
    mixture, rate = soundfile.read(tmp_path / "dev/mix_clean/dev-00000.flac")
    assert rate == RATE_HZ
    sources = np.stack([soundfile.read(tmp_path / f"dev/s{k}/dev-00000.flac")[0] for k in (1, 2, 3)])
    assert np.abs(sources.sum(axis=0) - mixture).max() < 1e-4
    table = (tmp_path / "metadata/mixture_dev_mix_clean.csv").read_text().splitlines()
    assert table[0] == "mixture_ID,mixture_path,source_1_path,source_2_path,source_3_path,length"
    assert table[1].endswith(f"dev/s3/dev-00000.flac,{len(mixture)}")
    speakers = (read_field(cut, "speakers") or "").split("|")
    active = speakers_at(turns_of(cut), speakers, np.arange(len(mixture)) / RATE_HZ).T
    assert active.sum(axis=0).max() <= 2
    assert not sources[~active].any()
    levels = [20 * np.log10(np.sqrt((sources[k][active[k]] ** 2).mean())) for k in range(3)]
    assert levels == pytest.approx([-25, -31, -31], abs=0.2)


def test_the_same_again_and_other_with_another_seed(rows: list[MonoCut], tmp_path: Path) -> None:
    config = replace(CONFIG, num_mixtures=1)
    texts = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        simulate({"train": rows}, tmp_path / name, replace(config, seed=seed))
        texts.append((tmp_path / name / "train.rttm").read_text())
    assert texts[0] == texts[1] != texts[2]


def test_what_cannot_be_mixed_is_one_sentence(rows: list[MonoCut], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"test has 1 speaker\(s\), and a mixture needs 2"):
        simulate({"test": rows[:2]}, tmp_path, CONFIG)
    with pytest.raises(ManifestError, match="Row row0 of test is not of one named speaker"):
        simulate({"test": [replace(rows[0], supervisions=[])]}, tmp_path, CONFIG)
    with pytest.raises(ManifestError, match="the first must not be the larger"):
        replace(CONFIG, snr_db=(3.0, 1.0))
    with pytest.raises(ConfigError, match=r"simulation.overlap=0.95 must be"):
        replace(CONFIG, overlap=0.95)
    assert list(tmp_path.iterdir()) == []
