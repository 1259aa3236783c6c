"""The toolkit's own augmentations by name, on rows and in batches."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet

from audiossl.core.errors import ConfigError
from audiossl.core.types import Batch
from audiossl.data.augmentations.builtin import build
from audiossl.data.augmentations.signal import power
from audiossl.data.augmenting import NamedAugmentations
from audiossl.data.config import LoaderConfig
from audiossl.data.copies import DrawnBy
from audiossl.data.fields import read_field
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut
from audiossl.data.stream import StreamPlan

RATE = 16000
BY = DrawnBy(seed=1, epoch=0)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a noise at another rate and a room."""
    folder, draw = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for name, samples, rate in (
        ("noise", 0.2 * draw.standard_normal(44100), 44100),
        ("room", np.eye(1, 200, 9)[0], RATE),
    ):
        (folder / name).mkdir()
        soundfile.write(folder / name / f"{name}.flac", samples, rate)
    return folder


def all_of(sounds: Path) -> list[dict[str, Any]]:
    return [
        {"name": "reverberation", "path": str(sounds / "room")},
        {"name": "babble", "voices": [2, 3], "p": 0.5},
        {"name": "noise", "path": str(sounds), "kind": "noise", "snr_db": [0, 15]},
        {"name": "codec", "kinds": ["mu_law", "vorbis"], "p": 0.3},
        {"name": "band_limit", "p": 0.5},
        {"name": "gain", "db": [-6, 6]},
    ]


def batches(corpus: Path, asked: list[dict[str, Any]], count: int, **options: Any) -> list[Batch]:
    config = LoaderConfig(batch_size=4, augment=asked, num_workers=options.pop("num_workers", 0))
    plan = StreamPlan(config, sample_rate_hz=RATE, seed=3, **{"train": True, **options})
    return list(islice(make_loader(read_manifest(corpus / "train.jsonl.gz"), plan), count))


def same(one: list[Batch], two: list[Batch]) -> bool:
    return all(torch.equal(first.wavs, second.wavs) for first, second in zip(one, two, strict=True))


def test_batches_are_the_same_for_any_workers_and_after_a_stop(corpus: Path, sounds: Path) -> None:
    asked = all_of(sounds)
    whole = batches(corpus, asked, 6)
    assert same(whole, batches(corpus, asked, 6, num_workers=2))
    assert same(whole[4:], batches(corpus, asked, 2, start=whole[3].position))
    clean = batches(corpus, [], 6)
    assert [one.lengths.tolist() for one in clean] == [two.lengths.tolist() for two in whole]
    assert not any(torch.equal(one.wavs, two.wavs) for one, two in zip(clean, whole, strict=True))
    assert same(batches(corpus, [], 3, train=False), batches(corpus, asked, 3, train=False))


def test_noise_in_a_chain_has_the_level_that_was_asked_for(corpus: Path, sounds: Path) -> None:
    noise = {"name": "noise", "path": str(sounds / "noise"), "snr_db": [7, 7]}
    change = NamedAugmentations([noise], RATE)
    change.check()
    cut = next(iter(read_manifest(corpus / "train.jsonl.gz")))
    sound = read_cut(cut, RATE)
    added = change(sound, cut, BY) - sound
    assert 10 * math.log10(power(sound) / power(added)) == pytest.approx(7, abs=0.1)
    assert np.array_equal(change(sound, cut, BY), sound + added)
    assert not np.array_equal(change(sound, cut, DrawnBy(1, 1)), sound + added)
    never = NamedAugmentations([{**noise, "p": 0}], RATE)
    assert np.array_equal(never(sound, cut, BY), sound)


def test_babble_is_of_others(rows_of: Callable[..., list[Any]]) -> None:
    rows = rows_of(num_recordings=6, per_recording=2)  # three speakers with four rows each
    rows[3].supervisions = []  # nobody knows whose this is
    babble = build("babble", {"voices": [3, 5]}, 8000, "data.augment[0] (babble)", rows)
    chosen: Counter[str] = Counter()
    for seed in range(200):
        found = babble._drawn(random.Random(seed), 5, rows[0].id, "s0")
        assert len({cut.id for cut in found}) == 5 and "s0" not in {read_field(cut, "speaker") for cut in found}
        chosen.update(cut.id for cut in found)
    assert len(chosen) == 9 and min(chosen.values()) > 70
    assert all(
        rows[3].id not in [cut.id for cut in babble._drawn(random.Random(s), 5, rows[3].id, None)] for s in range(50)
    )
    alone = CutSet.from_cuts(row for row in rows if read_field(row, "speaker") == "s1")
    with pytest.raises(ConfigError, match="of 4 rows only 0 are such for some speaker; set fewer voices"):
        build("babble", {}, 8000, "data.augment[0] (babble)", alone)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "nois"}, "names 'nois', which is not there. Did you mean noise"),
        ({"name": "gain", "dbs": [1, 2]}, r"data\.augment\[0\] \(gain\).*dbs.*Did you mean db"),
        ({"name": "gain", "p": 2}, r"p=2.* must be from 0 to 1"),
        ({"name": "codec", "kinds": []}, r"has no kinds; name codings"),
        ({"name": "band_limit", "low_hz": [0, 0], "high_hz": [8000, 9000]}, "has no edge below 8000 Hz"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_row(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        NamedAugmentations([asked], RATE)
