"""A corpus of voices and a run that was trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from toys.voices import RATE, settings, voice

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.speaker_verification.judging import TrialJudge
from audiossl.experiments.start import train


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of 6 training voices, and 4 others each for dev and test; a trial list for test."""
    folder = tmp_path_factory.mktemp("voices")
    lines = ["path,speaker,split"]
    for speaker in range(14):
        split = "train" if speaker < 6 else "dev" if speaker < 10 else "test"
        for take in range(4):
            name = f"s{speaker}-{take}.wav"
            soundfile.write(folder / name, voice(speaker, take, 0.35 + 0.05 * take), RATE)
            lines.append(f"{name},s{speaker},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    names = [f"s{speaker}-{take}.wav" for speaker in range(10, 14) for take in range(4)]
    pairs = [(int(a.split("-")[0] == b.split("-")[0]), a, b) for a in names for b in names if a < b]
    (folder / "trials.txt").write_text("".join(f"{same} {a} {b}\n" for same, a, b in pairs))
    return folder


@pytest.fixture
def pictures() -> None:
    """What a test asks for whose evaluations draw."""


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of an evaluation, so that only a test that asks for `pictures` draws them."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(TrialJudge, "figures", lambda *_: {})


@pytest.fixture(scope="session")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(corpus), tmp_path_factory.mktemp("runs") / "run")
