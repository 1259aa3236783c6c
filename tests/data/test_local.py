"""A manifest row never runs a command, opens an address or a pickle, whatever it says and wherever in it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhotse import CutSet, Recording
from lhotse.array import Array, TemporalArray
from lhotse.audio import AudioSource

from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.frame_labels import read_frame_labels
from audiossl.data.local import check_sources, load_array, only_files, sources_in
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut


def hostile(path: Path, flag: Path, kind: str = "command") -> dict[str, Any]:
    return {"type": kind, "channels": [0], "source": f"touch {flag}; cat {path}"}


def nested(base: dict[str, Any], source: dict[str, Any], where: str) -> dict[str, Any]:
    """A row with a source where it does not belong."""
    bad = {**base["recording"], "sources": [source]}
    if where == "recording":
        return {**base, "recording": bad}
    if where == "custom":
        return {**base, "custom": {"clean": bad}}
    if where == "mixed":
        return {"type": "MixedCut", "id": "m", "tracks": [{"cut": {**base, "recording": bad}, "offset": 0.0}]}
    kwargs = {"rir": bad, "normalize_output": True, "early_only": False, "affix_id": False, "rir_channels": [0]}
    changed = {**base["recording"], "transforms": [{"name": "ReverbWithImpulseResponse", "kwargs": kwargs}]}
    return {**base, "recording": changed}


@pytest.mark.parametrize("where", ["recording", "custom", "mixed", "transform"])
@pytest.mark.parametrize("kind", ["command", "url", "memory", "shar", "anything"])
def test_a_row_with_another_source_than_a_file_is_refused(sound, row, tmp_path, where, kind):
    path, flag = sound("good.wav"), tmp_path / "was_run"
    base = row("a", 8000, path=path).to_dict()
    made = json.dumps(nested(base, hostile(path, flag, kind), where)).replace('"sources"', r'"\u0073ources"')
    place = tmp_path / "rows.jsonl"
    place.write_text(json.dumps(base) + "\n" + made + "\n")
    cuts = read_manifest(place)
    with pytest.raises(ManifestError, match=rf"rows\.jsonl line 2 has sound of the type '{kind}' .*neither run"):
        list(cuts)
    assert not flag.exists()


@pytest.mark.parametrize("command", [("data", "validate"), ("data", "stats"), ("embed", "log_mel")])
def test_no_command_runs_it(audiossl, sound, row, tmp_path, command):
    path, flag = sound("good.wav"), tmp_path / "was_run"
    place = tmp_path / "rows.jsonl"
    place.write_text(json.dumps(nested(row("a", 8000, path=path).to_dict(), hostile(path, flag), "recording")))
    found = audiossl(*command, place, *(("--out", tmp_path / "x.npz") if command[0] == "embed" else ()))
    assert found.code == 2
    assert "type 'command'" in found.err
    assert not flag.exists()


def test_nor_is_a_row_that_was_made_in_python(sound, row, tmp_path):
    path, flag = sound("good.wav"), tmp_path / "was_run"
    cut = row("a", 8000, path=path)
    cut.recording = Recording("r", [AudioSource(**hostile(path, flag))], 16000, 8000, 0.5)
    for made in (cut, cut.append(cut), cut.perturb_speed(1.1)):
        with pytest.raises(ManifestError, match="Row .* has sound of the type 'command'"):
            read_cut(made, 16000)
        with pytest.raises(ManifestError, match="type 'command'"):
            check_sources(made)
    assert not flag.exists()


def test_columns_of_any_name_are_kept():
    fields = {"sources": "two microphones", "custom": {"sources": ["a", "b"]}, "type": "command"}
    assert only_files(fields) == fields
    assert list(sources_in({"sources": []})) == []


class Touch:
    """What a pickle can do."""

    def __init__(self, flag: Path) -> None:
        self.flag = str(flag)

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.flag),)


@pytest.mark.parametrize("kind", ["kaldiio", "lilcom_url", "memory_raw", "shar"])
def test_labels_are_read_from_files_of_numbers_alone(row, tmp_path, kind):
    flag = tmp_path / "was_run"
    content: Any = pickle.dumps(Touch(flag)) if kind == "memory_raw" else f"touch {flag} |"
    stored = TemporalArray(Array(kind, "", content, [5]), temporal_dim=0, frame_shift=0.1, start=0.0)
    with pytest.raises(ManifestError, match=f"an array of the type '{kind}'"):
        load_array(stored)
    with pytest.raises(LabelError, match=f"Row a has an array of the type '{kind}'"):
        read_frame_labels(row("a", 8000).with_custom("units", stored), "units")
    fields = {"array": {"storage_type": kind, "storage_path": "", "storage_key": "x", "shape": [5]}}
    with pytest.raises(ManifestError, match=f"an array of the type '{kind}'"):
        json.loads(json.dumps({"custom": {"units": fields}}), object_hook=only_files)
    assert not flag.exists()


def test_a_path_that_lhotse_takes_for_a_command_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flag = tmp_path / "was_run"
    stored = TemporalArray(Array("numpy_files", f"pipe:touch {flag};", "x", [5]), 0, 0.1, 0.0)
    with pytest.raises(FileNotFoundError):
        load_array(stored)
    assert not flag.exists()
    np.save(tmp_path / "five.npy", np.arange(5))
    kept = TemporalArray(Array("numpy_files", "", "five.npy", [5]), 0, 0.1, 0.0)
    assert load_array(kept).tolist() == [0, 1, 2, 3, 4]


def test_files_are_read_as_before(sound, row, tmp_path):
    cut = row("a", 8000, path=sound("good.wav"))
    place = tmp_path / "rows.jsonl"
    CutSet.from_cuts([cut, cut.with_id("b").perturb_speed(1.1)]).to_file(place)
    assert [len(read_cut(found, 16000)) for found in read_manifest(place)] == [8000, 7273]
