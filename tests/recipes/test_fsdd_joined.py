"""Digits that are joined have the boundaries that they were joined at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from toys.core import ROOT

from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_cut
from audiossl.data.segments import read_segments


def test_boundaries_are_where_the_sound_changes(tmp_path: Path) -> None:
    rows = []
    for speaker in ("george", "theo"):
        for digit in range(4):
            for take in (0, 9, 10):
                name = f"{digit}_{speaker}_{take}"
                sound = np.full(800 + 80 * digit, 0.05 * (digit + 1))
                soundfile.write(tmp_path / f"{name}.wav", sound, 8000)
                recording = Recording.from_file(tmp_path / f"{name}.wav", recording_id=name)
                said = SupervisionSegment(
                    name, name, 0.0, recording.duration, speaker=speaker, text="x", custom={"label": str(digit)}
                )
                rows.append(MonoCut(name, 0.0, recording.duration, 0, [said], recording=recording))
    splits = {"test": "0", "dev": "9", "train": "10"}
    parts = {name: [row for row in rows if row.id.rpartition("_")[2] == take] for name, take in splits.items()}
    write_manifests({name: CutSet.from_cuts(part) for name, part in parts.items()}, tmp_path / "data")
    script = ROOT / "recipes" / "fsdd" / "prepare_joined.py"
    command = [sys.executable, str(script), str(tmp_path / "data"), str(tmp_path / "joined")]
    subprocess.run(command, check=True, cwd=ROOT)
    for split, speaker in (("dev", "george"), ("test", "theo")):
        (row,) = read_manifest(tmp_path / "joined" / f"{split}.jsonl.gz")
        segments = read_segments([row])
        assert len(segments) == 6 and {each.speaker for each in segments} == {speaker}
        sound = read_cut(row, 8000)
        for each in segments:
            middle = sound[round(each.start_s * 8000) + 4 : round(each.end_s * 8000) - 4]
            assert middle == pytest.approx(0.05 * (int(each.label) + 1), abs=1e-3)
