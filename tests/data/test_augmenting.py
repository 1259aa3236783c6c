"""Augmentations of audiomentations by name: what they are drawn from, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet
from lhotse.testing.dummies import dummy_cut

pytest.importorskip("audiomentations")

from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.types import Batch, Position
from audiossl.data.augmenting import NamedAugmentations
from audiossl.data.config import LoaderConfig
from audiossl.data.copies import DrawnBy
from audiossl.data.fields import read_field
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.stream import StreamPlan

RATE = 16000
PLAN = {"sample_rate_hz": RATE, "train": True, "seed": 3}
NOISE = {"name": "AddGaussianSNR", "min_snr_db": 5, "max_snr_db": 20, "p": 0.5}
SOUND = np.sin(np.arange(4000) / 9).astype(np.float32)
ROW = dummy_cut(0)


def loader(corpus: Path, data: dict[str, Any], **options: Any) -> Iterable[Batch]:
    plan = StreamPlan(LoaderConfig(**{"batch_size": 4, **data}), **{**PLAN, **options})
    return make_loader(read_manifest(corpus / "train.jsonl.gz"), plan)


def batches(corpus: Path, count: int, num_workers: int = 0, **options: Any) -> list[Batch]:
    return list(islice(loader(corpus, {"augment": [NOISE], "num_workers": num_workers}, **options), count))


def test_a_row_follows_from_seed_epoch_and_id_alone() -> None:
    change = NamedAugmentations([{**NOISE, "p": 1.0}, {"name": "Gain", "p": 1.0}], RATE)
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002  what must be as before
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = change(SOUND.copy(), ROW, DrawnBy(1, 0))
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
    others = [change(SOUND.copy(), ROW.with_id("b"), DrawnBy(1, 0))]
    others += [change(SOUND.copy(), ROW, by) for by in (DrawnBy(1, 1), DrawnBy(1, 0, 1))]
    assert first.dtype == np.float32 and first.shape == SOUND.shape
    assert np.array_equal(change(SOUND.copy(), ROW, DrawnBy(1, 0)), first)
    assert not any(np.array_equal(other, first) for other in [SOUND, *others])


def test_batches_are_the_same_for_any_workers_and_after_a_stop(corpus: Path) -> None:
    whole = batches(corpus, 10)
    for other in (batches(corpus, 10, num_workers=2), whole[:4] + batches(corpus, 6, start=whole[3].position)):
        assert all(torch.equal(one.wavs, two.wavs) for one, two in zip(whole, other, strict=True))
    clean = list(islice(loader(corpus, {}), 10))
    assert [one.lengths.tolist() for one in clean] == [two.lengths.tolist() for two in whole]
    changed = [
        not torch.equal(one.wavs[row], two.wavs[row])
        for one, two in zip(clean, whole, strict=True)
        for row in range(len(one))
    ]
    assert 0.2 < np.mean(changed) < 0.8
    dev = batches(corpus, 99, train=False)
    assert all(torch.equal(one.wavs, two.wavs) for one, two in zip(dev, loader(corpus, {}, train=False), strict=True))


def test_rows_that_come_again_in_an_epoch_are_changed_otherwise(corpus: Path) -> None:
    rows = list(read_manifest(corpus / "train.jsonl.gz"))
    low, noise = ([cut for cut in rows if read_field(cut, "label") == label] for label in ("low", "noise"))
    rare = CutSet.from_cuts([*low, noise[0]])
    config = LoaderConfig(batch_size=1, balance="label", augment=[{**NOISE, "p": 1.0}])
    stream = make_loader(rare, StreamPlan(config, **PLAN))  # type: ignore[arg-type]
    seen: dict[tuple[Position, str], list[torch.Tensor]] = {}
    for batch in islice(stream, 6):
        assert batch.position is not None
        seen.setdefault((batch.position.epoch, batch.cuts[0].id), []).append(batch.wavs)
    (again,) = [each for each in seen.values() if len(each) > 1]
    assert not torch.equal(again[0], again[1])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"name": "AddGausianSNR"},
            "names 'AddGausianSNR', which audiomentations has not. Did you mean AddGaussianSNR",
        ),
        ({"name": "Compose"}, "'Compose', which audiomentations has not"),
        ({"name": "Trim"}, "names Trim, which changes lengths or needs code; leave it out"),
        ({"name": "Gain", "min_gain": 1}, r"augment\[0\]: Gain has no option 'min_gain'. Did you mean min_gain_db"),
        ({"name": "Gain", "min_gain_db": 9, "max_gain_db": 1}, r"augment\[0\]: Gain cannot be used \("),
        ({"name": "AddBackgroundNoise", "sounds_path": "nowhere"}, "AddBackgroundNoise cannot be used"),
        (
            {"name": "TimeStretch", "leave_length_unchanged": False, "min_rate": 0.5, "max_rate": 0.6},
            "samples of the 16000 of a second of noise; choose options that keep the length",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_row(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        NamedAugmentations([asked], RATE)


def test_sound_that_is_no_longer_finite_names_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    import audiomentations

    change = NamedAugmentations([{"name": "Gain", "p": 1.0}], RATE)
    monkeypatch.setattr(audiomentations.Gain, "apply", lambda self, samples, rate: samples * np.nan)
    with pytest.raises(AudioError, match=rf"Gain of data\.augment makes NaN or infinity of row {ROW.id}"):
        change(SOUND, ROW, DrawnBy(0, 0))


def test_training_with_augmentations(experiment: Callable[..., Any], tmp_path: Path) -> None:
    from audiossl.experiments.start import train

    with pytest.raises(ConfigError, match=r"features=frames would change the result: data\.augment \(AddGaussianSNR\)"):
        train(experiment(f"data.augment={json.dumps([NOISE])}", "features=frames"), tmp_path / "kept")
    with pytest.raises(ConfigError, match=r"data\.augment\[0\]=.* has no name"):
        experiment("data.augment=[{p: 0.5}]")
    with pytest.raises(ConfigError, match="Did you mean AddGaussianSNR"):
        train(experiment("data.augment=[{name: AddGaussSNR}]"), tmp_path / "wrong")
    run = train(experiment(f"data.augment={json.dumps([NOISE])}", "trainer.steps=2"), tmp_path / "run")
    assert (run / "checkpoints" / "last.safetensors").is_file()
