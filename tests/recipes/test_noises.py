"""Noises of the folds that may be used, and rooms as the image method has them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import CutSet
from toys.recipes import RECIPES, noise

from audiossl.data.augmenting import NamedAugmentations
from audiossl.data.copies import DrawnBy
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_cut


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / "noises" / "prepare.py"))


def test_noises_and_rooms_are_ready_for_training(script: dict[str, Any], tmp_path: Path) -> None:
    for number, fold in enumerate("12345"):
        noise(tmp_path / "esc10" / "audio" / f"dog_bark_{fold}-10{number}-A.wav", number)
    found = script["prepare"](tmp_path / "esc10", tmp_path / "out", 2)
    assert [read_field(cut, "fold") for cut in found["noise"]] == ["1", "2", "3"]
    assert [read_field(cut, "fold") for cut in found["left_out"]] == ["4", "5"]
    assert read_field(next(iter(found["noise"])), "licence") == "CC BY 3.0 (ESC-10, Piczak 2015; Freesound 100)"
    places = {name: str(tmp_path / "out" / f"{name}.jsonl.gz") for name in ("noise", "rirs")}
    asked = [
        {"name": "reverberation", "path": places["rirs"]},
        {"name": "noise", "path": places["noise"], "kind": "noise"},
    ]
    change = NamedAugmentations(asked, 16000)
    change.check()
    row = next(iter(read_manifest(places["noise"])))
    sound = read_cut(row, 16000)
    assert change(sound, row, DrawnBy(0, 0)).shape == sound.shape
    before = (tmp_path / "out" / "rooms" / "room0001.flac").read_bytes()
    script["prepare"](tmp_path / "esc10", tmp_path / "out", 2)
    assert (tmp_path / "out" / "rooms" / "room0001.flac").read_bytes() == before
    assert soundfile.info(tmp_path / "out" / "rooms" / "room0001.flac").samplerate == 16000


def test_a_split_with_noise_has_the_rows_of_the_clean_one(corpus: Path, tmp_path: Path) -> None:
    clean = list(read_manifest(corpus / "dev.jsonl.gz"))
    (tmp_path / "noise").mkdir()
    noise(tmp_path / "noise" / "rain.wav", 1)
    write_manifests({"test": CutSet.from_cuts(clean)}, tmp_path)
    noised = runpy.run_path(str(RECIPES / "noises" / "noised.py"))["noised"]
    noised(tmp_path / "test.jsonl.gz", tmp_path / "noise", (0, 0))
    rows = list(read_manifest(tmp_path / "test_noised.jsonl.gz"))
    assert [(cut.id, read_field(cut, "label")) for cut in rows] == [(cut.id, read_field(cut, "label")) for cut in clean]
    before, after = read_cut(clean[0], 16000), read_cut(rows[0], 16000)
    assert np.square(after - before).sum() == pytest.approx(np.square(before).sum(), rel=1e-3)


def test_images_are_where_mirrors_put_them(script: dict[str, Any]) -> None:
    size, source, microphone = np.array([4.0, 5.0, 3.0]), np.array([1.0, 2.0, 1.5]), np.array([3.0, 2.0, 1.5])
    response = script["image_response"](size, source, microphone, 0.5)
    late = {name: round(way / 343 * 16000) for name, way in {"direct": 2.0, "wall": 4.0}.items()}
    assert abs(int(response.argmax()) - late["direct"]) <= 1
    # Images in the walls x = 0 and x = 4 are both 4 m away, behind one wall each.
    near = {name: (response[place - 1 : place + 3] - response[place - 2]).sum() for name, place in late.items()}
    assert near["wall"] / near["direct"] == pytest.approx(2 * np.sqrt(0.5) * 2.0 / 4.0, rel=0.05)


def test_rooms_fade_as_fast_as_they_say(script: dict[str, Any]) -> None:
    size = np.array([6.0, 5.0, 3.0])
    response = script["image_response"](size, np.array([1.0, 1.2, 1.5]), np.array([4.1, 3.3, 1.2]), 0.3)
    left = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))
    fell = [int(np.argmax(left < level)) for level in (-5, -25)]
    assert 3 * (fell[1] - fell[0]) / 16000 == pytest.approx(script["rt60_s"](size, 0.3), rel=0.25)
