"""Are two recordings of one speaker: in Python and on the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys.bands import Bands
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.speaker_verification.verify import verify
from audiossl.experiments.loading import load_run


def test_verify_in_python_and_on_the_command_line(run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_run(run)
    enrol, same, other = (str(corpus / name) for name in ("s10-0.wav", "s10-1.wav", "s12-0.wav"))
    near, far = verify(loaded, [enrol], same), verify(loaded, [enrol], other)
    assert near.score > far.score
    assert near.probability is not None
    assert far.probability is not None
    assert near.same
    assert not far.same
    assert verify(loaded, [enrol], enrol).score == pytest.approx(1.0)
    doubtful = verify(loaded, [enrol], same, prior=0.01)
    assert doubtful.llr == near.llr
    assert doubtful.probability is not None
    odds = doubtful.probability / (1 - doubtful.probability)
    assert odds == pytest.approx(near.probability / (1 - near.probability) / 99, rel=1e-6)
    several = verify(loaded, [enrol, str(corpus / "s10-2.wav")], same)
    assert several.score != near.score
    cuts = {cut.id: cut for cut in read_manifest(corpus / "test.jsonl.gz")}
    rows = {row["id"]: row for row in load_run(run).predictions_of("test")}
    assert near.score == pytest.approx(rows[f"{'s10-0'} {'s10-1'}"]["score"], abs=1e-5)
    assert len(cuts) == 16

    add_commands_of_tasks()
    runner = CliRunner()
    shown = runner.invoke(app, ["verify", str(run), enrol, same, "--enrol", str(corpus / "s10-2.wav"), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == pytest.approx(several._asdict())
    shown = runner.invoke(app, ["verify", str(run), enrol, other])
    assert "two speakers" in shown.stdout
    assert f"{far.score:.4f} (cosine)" in shown.stdout
    assert "prior 0.5" in shown.stdout


def test_verify_says_what_is_wrong(run: Path, corpus: Path, tmp_path: Path) -> None:
    loaded = load_run(run)
    sound = str(corpus / "s10-0.wav")
    for name, value in (("zeros.wav", 0.0), ("constant.wav", 0.25)):
        soundfile.write(tmp_path / name, np.full(16000, value), 16000)
    for enrol, test, silent in (("zeros", "zeros", "zeros"), (sound, "constant", "constant")):
        paths = [name if name == sound else str(tmp_path / f"{name}.wav") for name in (enrol, test)]
        with pytest.raises(AudioError, match=rf"{silent}\.wav is silent from its beginning to its end"):
            verify(loaded, paths[:1], paths[1])
    with pytest.raises(ConfigError, match="prior=1 must be"):
        verify(loaded, [sound], sound, prior=1.0)
    with pytest.raises(AudioError, match="nothing.wav"):
        verify(loaded, [sound], str(corpus / "nothing.wav"))
    with pytest.raises(AudioError, match=r"stands for 56 recordings; name one file"):
        verify(loaded, [str(corpus)], sound)
    other = dataclasses.replace(loaded, task=Bands())  # type: ignore[arg-type]
    with pytest.raises(AudiosslError, match="give one of speaker_verification"):
        verify(other, [sound], sound)
    torch.nn.init.zeros_(loaded.task.get_buffer("scale_and_offset"))
    assert verify(loaded, [sound], sound)[1:4] == (None, None, None)
