"""Batches of sound: what is read of each row, and that workers change nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiossl.core.errors import AudioError, ConfigError, ManifestError
from audiossl.core.types import Batch, Position
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import at_speed, crop
from audiossl.data.loader import augmentations_of, check_longest, collate, make_loader
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_audio
from audiossl.data.stream import StreamPlan


def test_a_crop_depends_on_seed_epoch_and_row_alone(sound, row):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, 16000).astype(np.float32)
    cut = row("long", 16000, path=sound("noise.wav", samples, subtype="FLOAT"))
    starts = {(seed, epoch): crop(cut, 0.25, seed, epoch).start for seed in range(3) for epoch in range(3)}
    assert len(set(starts.values())) == 9
    part = crop(cut, 0.25, 1, 2)
    assert (part.id, part.num_samples, part.start) == ("long", 4000, starts[1, 2])
    first = round(part.start * 16000)
    np.testing.assert_array_equal(collate([part], 16000).wavs[0].numpy(), samples[first : first + 4000])
    assert crop(cut, 1.0, 0, 0) is cut


def test_collate_pads_with_zeros(sound, row):
    long, short = sound("long.wav", 8000), sound("short.wav", 1000, 8000)
    cuts = [row("short", 1000, 8000, short), row("long", 8000, path=long)]
    batch = collate(cuts, 16000, position=Position(1, 2))
    assert (tuple(batch.wavs.shape), batch.wavs.dtype) == ((2, 8000), torch.float32)
    assert (batch.lengths.tolist(), batch.lengths.dtype) == ([2000, 8000], torch.int64)
    assert (batch.cuts, batch.position) == (tuple(cuts), Position(1, 2))
    assert not batch.wavs[0, 2000:].any()
    np.testing.assert_array_equal(batch.wavs[1].numpy(), read_audio(long))
    with pytest.raises(AudioError, match=r"short\.wav is too short: row short has 2000 samples at 16000 Hz, and 2001"):
        collate(cuts, 16000, min_samples=2001)


@pytest.fixture
def manifest(sound, row, tmp_path):
    cuts = [row(f"r{n}", 400 + 40 * n, path=sound(f"r{n}.wav", 400 + 40 * n)) for n in range(12)]
    return read_manifest(write_manifests({"train": CutSet.from_cuts(cuts)}, tmp_path)["train"])


def test_workers_change_nothing(manifest):
    def batches(num_workers, start=None):
        config = LoaderConfig(batch_size=5, num_workers=num_workers)
        loader = make_loader(manifest, StreamPlan(config, sample_rate_hz=16000, seed=1, train=True, start=start))
        return list(islice(loader, 7))

    plain, ahead = batches(0), batches(2)
    assert all(isinstance(batch, Batch) for batch in ahead)
    assert [batch.position for batch in plain] == [Position(n // 3, n % 3) for n in range(7)]
    for one, other in zip(plain, ahead, strict=True):
        assert one.position == other.position
        assert [cut.id for cut in one.cuts] == [cut.id for cut in other.cuts]
        assert torch.equal(one.wavs, other.wavs)
    resumed = batches(0, start=plain[3].position)
    assert [cut.id for cut in resumed[0].cuts] == [cut.id for cut in plain[4].cuts]


def test_evaluation_is_one_pass_in_a_fixed_order(manifest):
    loader = make_loader(manifest, StreamPlan(LoaderConfig(batch_size=5), sample_rate_hz=16000))
    first, again = ([cut.id for batch in loader for cut in batch.cuts] for _ in range(2))
    assert first == again
    assert sorted(first) == sorted(f"r{n}" for n in range(12))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_a_worker_is_the_same_sentence(manifest, tmp_path, num_workers):
    (tmp_path / "r7.wav").unlink()
    config = LoaderConfig(batch_size=5, num_workers=num_workers)
    loader = make_loader(manifest, StreamPlan(config, sample_rate_hz=16000))
    with pytest.raises(AudioError) as caught:
        list(loader)
    assert str(caught.value) == f"{tmp_path / 'r7.wav'} is missing; correct the path, or put the file there."


SCRIPT = """
import sys
from dataclasses import replace
sys.modules["torchaudio"] = None  # any import of it fails
from pathlib import Path
from audiossl.data.checks import stats, validate
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_folder
from audiossl.data.config import LoaderConfig
from audiossl.data.stream import StreamPlan
path = write_manifests(cuts_from_folder(sys.argv[1]), Path(sys.argv[1], "out"))["all"]
cuts = read_manifest(path)
assert validate(cuts) == [] and stats(cuts)["num_rows"] == 2
plan = StreamPlan(LoaderConfig(batch_size=2, max_crop_s=0.1), sample_rate_hz=8000, train=True)
batch = next(iter(make_loader(cuts, plan)))
print(tuple(batch.wavs.shape))
"""


def test_nothing_here_needs_torchaudio(sound, tmp_path):
    sound("a.wav", 4000)
    sound("b.flac", 4000)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "(2, 800)"), done.stderr


def test_speeds_change_length_and_pitch_and_nothing_else(tmp_path):
    import soundfile

    rate, path = 16000, tmp_path / "tone.wav"
    soundfile.write(path, np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) / 2, rate)
    recording = Recording("tone", [AudioSource("file", [0], str(path))], rate, rate, 1.0)
    said = SupervisionSegment("said", "tone", 0.0, 1.0, text="a")
    cut = MonoCut("tone", 0.0, 1.0, 0, supervisions=[said], recording=recording)
    for speed in (0.8, 1.0, 1.25):
        changed = at_speed(cut, speed)
        batch = collate([changed], rate)
        assert (changed.id, changed.supervisions[0].text) == ("tone", "a")
        assert batch.lengths.tolist() == [round(rate / speed)]
        assert changed.supervisions[0].end == pytest.approx(changed.duration)
        spectrum = batch.wavs[0].numpy() * np.hanning(batch.wavs.shape[1])
        peak_hz = np.abs(np.fft.rfft(spectrum)).argmax() * rate / batch.wavs.shape[1]
        assert peak_hz == pytest.approx(440 * speed, abs=2)
        assert np.abs(spectrum).max() == pytest.approx(0.5, abs=0.02)


def test_rows_that_are_too_long_are_all_counted_before_any_is_read(row):
    cuts = [row("a", 8000, path="a.wav"), row("b", 40000, path="b.wav"), row("c", 16001, path="c.wav")]
    encoder = SimpleNamespace(sample_rate_hz=16000, min_samples=1, max_samples=16000)
    message = r"2 of 3 rows last longer than the 1 s that this encoder reads, the first is b \(b\.wav\) with 2\.5 s; .*"
    for config, train in ((LoaderConfig(), False), (LoaderConfig(), True), (LoaderConfig(max_crop_s=1), False)):
        with pytest.raises(ManifestError, match=message + r"data\.max_crop_s=1 in training, .*features=auto"):
            make_loader(CutSet.from_cuts(cuts), StreamPlan.of(encoder, config, train=train))
    make_loader(CutSet.from_cuts(cuts), StreamPlan.of(encoder, LoaderConfig(max_crop_s=1), train=True))
    slow = LoaderConfig(speeds=[0.5, 1.0])
    with pytest.raises(ManifestError, match="1 of 1 rows"):
        check_longest([row("d", 9000)], StreamPlan.of(encoder, slow, train=True))
    check_longest(cuts[:1], StreamPlan.of(encoder, slow, train=False))


def test_bad_sound_is_left_out_of_training_when_asked_and_named_once(manifest, tmp_path, caplog):
    (tmp_path / "r3.wav").write_bytes(b"no sound")
    for options, train in (({}, True), ({"skip_bad": True}, False)):
        with pytest.raises(AudioError, match=r"r3\.wav cannot be read as sound"):
            list(islice(make_loader(manifest, plan_of(train, **options)), 6))
    for num_workers in (0, 2):
        caplog.clear()
        loader = make_loader(manifest, plan_of(True, skip_bad=True, num_workers=num_workers))
        batches = list(islice(loader, 6))
        assert [batch.position for batch in batches] == [Position(n // 3, n % 3) for n in range(6)]
        assert sorted(cut.id for batch in batches for cut in batch.cuts).count("r3") == 0
        assert sum(map(len, batches)) == 22
        assert [line.getMessage()[:30] for line in caplog.records] == ["Left out of training, row r3: "]


def test_a_batch_of_bad_sound_alone_is_passed_over_and_a_hundred_are_an_error(manifest, tmp_path):
    (tmp_path / "r3.wav").write_bytes(b"no sound")
    loader = make_loader(manifest, plan_of(True, skip_bad=True, batch_size=1))
    assert len({cut.id for batch in islice(loader, 11) for cut in batch.cuts}) == 11
    for number in range(12):
        (tmp_path / f"r{number}.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match="Of 100 batches on end no recording can be read"):
        next(iter(make_loader(manifest, plan_of(True, skip_bad=True, batch_size=1))))


def plan_of(train, **options):
    return StreamPlan(LoaderConfig(**{"batch_size": 4, **options}), sample_rate_hz=16000, seed=1, train=train)


def test_augmentations_without_their_library_are_an_error_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "audiomentations", None)
    plan = StreamPlan(LoaderConfig(augment=[{"name": "Gain"}]), sample_rate_hz=8000, train=True)
    with pytest.raises(ConfigError, match=r"run `pip install audiossl-toolkit\[augment\]`"):
        augmentations_of([], plan)
    assert augmentations_of([], replace(plan, train=False)) is None
