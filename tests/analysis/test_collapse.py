"""Recordings that give a label away are told from their background. Calls that do are not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probing import probe_upstream
from audiossl.core.errors import ConfigError
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv


def corpus(folder: Path, *, hum_by_label: bool) -> Path:
    """Calls of two pitches in recordings that hum at one of two pitches, by label or at random."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    lines = ["path,start,end,label,split"]
    for number in range(48):
        label = number % 2
        hum = label if hum_by_label else int(draw.integers(2))
        times = np.arange(12800) / 16000
        sound = 0.003 * draw.standard_normal(len(times)) + 0.05 * np.sin(2 * np.pi * (300, 5000)[hum] * times)
        sound[3200:6400] += 0.4 * np.sin(2 * np.pi * (1000, 2500)[label] * times[3200:6400])
        soundfile.write(folder / f"{number}.wav", sound, 16000)
        split = ("train", "train", "dev", "test")[number // 2 % 4]
        lines.append(f"{number}.wav,0.2,0.4,{'ab'[label]},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    return folder


@pytest.mark.parametrize("hum_by_label", [True, False])
def test_background_tells_recordings(tmp_path: Path, caplog: pytest.LogCaptureFixture, hum_by_label: bool) -> None:
    data = corpus(tmp_path / "data", hum_by_label=hum_by_label)
    options = ProbeOptions(probes="linear", layers="0", background_s=0.1)
    with caplog.at_level(logging.WARNING):
        probe_upstream("log_mel", data, tmp_path / "out", options)
    facts = json.loads((tmp_path / "out" / "probes.json").read_text())
    assert facts["chosen_on_dev"]["linear"]["test"]["uar"]["value"] == 1.0
    told = facts["background"]["probes"]["linear"]["test"]["uar"]
    assert (told["value"] == 1.0) == hum_by_label
    assert ("tells 'label' from the background alone" in caplog.text) == hum_by_label
    assert facts["background"]["num_items"] == {"train": 24, "dev": 12, "test": 12}
    assert "| probe | calls: uar (%) | background: uar (%) |" in (tmp_path / "out" / "probes.md").read_text()


def test_calls_without_background_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="give --background-s too"):
        ProbeOptions(calls="table.csv")
