"""Who of a gallery is it: ranking, strangers, and galleries that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import AudioError
from audiossl.downstreams.speaker_verification.identify import identify, read_gallery
from audiossl.downstreams.speaker_verification.verify import row_of
from audiossl.experiments.loading import load_run


@pytest.fixture(scope="module")
def gallery(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    for speaker in (10, 11, 12):
        (folder / f"sprecher {speaker}").mkdir()
        for take in (0, 1):
            shutil.copy(corpus / f"s{speaker}-{take}.wav", folder / f"sprecher {speaker}")
    return folder


def test_speakers_of_the_gallery_are_found_and_probabilities_add_up(run: Path, corpus: Path, gallery: Path) -> None:
    loaded = load_run(run)
    known, stranger = (str(corpus / name) for name in ("s11-3.wav", "s13-2.wav"))
    found = identify(loaded, read_gallery(str(gallery)), [known, stranger])
    assert found[0].ranked[0].name == "sprecher 11"
    for each in found:
        assert each.nobody is not None
        assert each.nobody + sum(one.probability or 0.0 for one in each.ranked) == pytest.approx(1.0)
    assert found[1].nobody > found[0].nobody  # type: ignore[operator]
    (unlikely,) = identify(loaded, read_gallery(str(gallery)), [known], prior=1e-9)
    assert unlikely.name is None
    (row,) = read_gallery(str(corpus / "test.jsonl.gz"))["s11"][:1]
    assert not isinstance(row, str)
    part = row_of(loaded, row.truncate(duration=0.2))
    assert part["duration_s"] == 0.2
    assert part["embedding"] != row_of(loaded, str(corpus / "s11-0.wav"))["embedding"]
    torch.nn.init.zeros_(loaded.task.get_buffer("scale_and_offset"))
    (uncalibrated,) = identify(loaded, read_gallery(str(gallery)), [known])
    assert (uncalibrated.name, uncalibrated.nobody) == (uncalibrated.ranked[0].name, None)

    add_commands_of_tasks()
    shown = CliRunner().invoke(app, ["identify", str(run), str(gallery), known, "--prior", "1e-9"])
    assert "nobody in the gallery" in shown.stdout, shown.output
    shown = CliRunner().invoke(app, ["identify", str(run), str(gallery), known, "--json", "--top", "2"])
    assert json.loads(shown.stdout)[0]["ranked"][0]["name"] == "sprecher 11"


def test_a_gallery_without_speakers_or_recordings_is_said(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="has no speakers; give a folder with a folder"):
        read_gallery(str(tmp_path))
    (tmp_path / "ann").mkdir()
    with pytest.raises(AudioError, match="The speaker 'ann' of .* has no recording; add one"):
        read_gallery(str(tmp_path))
