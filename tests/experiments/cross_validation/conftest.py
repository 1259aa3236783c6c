"""A corpus of voices, and a cross-validation on it that was trained once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from toys.core import LABELS, RATE_HZ, sound_of

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.start import train

Make = Callable[..., Any]


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of three sounds by three speakers, twice each."""
    folder = tmp_path_factory.mktemp("voices")
    lines = ["path,label,speaker"]
    for speaker in range(3):
        for number, label in enumerate(LABELS):
            for take in range(2):
                name = f"{label}_{speaker}_{take}.wav"
                soundfile.write(folder / name, sound_of(label, 100 * number + 10 * speaker + take), RATE_HZ)
                lines.append(f"{name},{label},v{speaker}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder / "manifests")
    return folder / "manifests"


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of an evaluation; the test of the whole result draws them."""
    if "result" not in request.node.name:
        monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})


@pytest.fixture
def folded(experiment: Make, voices: Path) -> Make:
    def make(*overrides: str) -> Any:
        return experiment(
            f"data.dir={voices}", "folds=leave_one_out:speaker", "trainer.steps=12", "trainer.eval_every=6", *overrides
        )

    return make


@pytest.fixture(scope="session")
def trained() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(folded: Make, tmp_path: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that is trained once."""
    if not trained:
        trained["run"] = train(folded("trainer.average_best=2"), tmp_path_factory.mktemp("trained") / "run")
    return Path(shutil.copytree(trained["run"], tmp_path / "run"))
