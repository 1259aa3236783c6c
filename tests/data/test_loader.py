"""Batches: every row once an epoch, limits kept, and the same stream for any number of processes and any restart."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiossl.core.errors import AudioError, ConfigError, ManifestError
from audiossl.core.types import Batch, Position
from audiossl.data.loader import collate, make_loader
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_audio
from audiossl.data.stream import BatchStream, LoaderConfig, at_speed, crop

RATE = 1000


def rows_lasting(lengths, path="none.wav"):
    cuts = []
    for number, num_samples in enumerate(lengths):
        recording = Recording(
            f"r{number}", [AudioSource("file", [0], str(path))], RATE, num_samples, num_samples / RATE
        )
        cuts.append(
            MonoCut(
                f"c{number:03}", start=0.0, duration=recording.duration, channel=0, recording=recording, supervisions=[]
            )
        )
    return CutSet.from_cuts(cuts)


corpora = st.lists(st.integers(50, 3000), min_size=1, max_size=60).map(rows_lasting)
configs = st.builds(
    LoaderConfig,
    batch_size=st.one_of(st.just(7), st.integers(1, 20)),
    max_duration_s=st.one_of(st.none(), st.floats(3.0, 30.0)),
    num_buckets=st.integers(1, 6),
    pool_size=st.integers(1, 80),
)


def ids(items):
    return [(item.position, [cut.id for cut in item.cuts]) for item in items]


@settings(max_examples=60, deadline=None)
@given(corpora, configs, st.booleans())
def test_every_row_once_an_epoch_within_the_limits(cuts, config, shuffle):
    stream = BatchStream(cuts, config, seed=0, shuffle=shuffle)
    epochs: dict[int, list] = {0: [], 1: []}
    for item in stream:
        if item.position.epoch == 2:
            break
        assert item.position.batch == len(epochs[item.position.epoch])
        epochs[item.position.epoch].append(item.cuts)
    for batches in epochs.values() if shuffle else [epochs[0]]:
        assert sorted(cut.id for batch in batches for cut in batch) == [cut.id for cut in cuts]
        for batch in batches:
            assert 0 < len(batch) <= config.batch_size
            if config.max_duration_s is not None:
                assert len(batch) * max(cut.duration for cut in batch) <= config.max_duration_s
    assert shuffle or not epochs[1]


@settings(max_examples=40, deadline=None)
@given(corpora, configs, st.integers(1, 4), st.booleans())
def test_the_processes_share_one_stream(cuts, config, world_size, shuffle):
    def stream(rank, world_size):
        return BatchStream(cuts, config, seed=3, rank=rank, world_size=world_size, shuffle=shuffle)

    num_items = 5 * world_size
    alone = ids(islice(stream(0, 1), num_items))
    shares = [ids(islice(stream(rank, world_size), 5)) for rank in range(world_size)]
    for number, item in enumerate(alone):
        assert shares[number % world_size][number // world_size] == item
    assert sum(map(len, shares)) == len(alone)


@settings(max_examples=40, deadline=None)
@given(corpora, configs, st.integers(0, 40), st.integers(1, 3))
def test_a_resumed_stream_is_the_uninterrupted_one(cuts, config, stop, world_size):
    whole = ids(islice(BatchStream(cuts, config, seed=5), stop + 1 + 4 * world_size))
    start = whole[stop][0]
    for rank in range(world_size):
        resumed = BatchStream(cuts, config, seed=5, rank=rank, world_size=world_size, start=start)
        assert ids(islice(resumed, 4)) == whole[stop + 1 + rank :: world_size][:4]


def test_the_stream_is_shuffled_by_seed_and_epoch():
    cuts, config = rows_lasting([500 + number % 9 for number in range(200)]), LoaderConfig(batch_size=8)

    def first_ids(seed, epoch):
        items = islice(BatchStream(cuts, config, seed=seed, start=Position(epoch, -1)), 25)
        return [cut.id for item in items for cut in item.cuts]

    assert first_ids(0, 0) == first_ids(0, 0)
    orders = {tuple(first_ids(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_long_and_short_batches_are_mixed():
    cuts, config = rows_lasting([500 + 10 * number for number in range(200)]), LoaderConfig(batch_size=8)
    orders = []
    for epoch in (0, 1):
        items = islice(BatchStream(cuts, config, seed=0, start=Position(epoch, -1)), 25)
        means = [sum(cut.num_samples for cut in item.cuts) / len(item.cuts) for item in items]
        orders.append([mean > 1500 for mean in means])
        assert 2 <= sum(orders[-1][:12]) <= 10
    assert orders[0] != orders[1]


def test_a_pool_leaves_no_partial_batch():
    stream = BatchStream(rows_lasting([500] * 100), LoaderConfig(batch_size=8, pool_size=20), seed=0)
    sizes = [len(item.cuts) for item in islice(stream, 13)]
    assert sorted(sizes) == [4] + [8] * 12


def test_grouping_by_length_saves_padding():
    lengths = np.random.default_rng(0).integers(100, 3000, 400).tolist()

    def padding(num_buckets):
        config = LoaderConfig(batch_size=8, num_buckets=num_buckets)
        batches = [item.cuts for item in islice(BatchStream(rows_lasting(lengths), config, seed=0), 50)]
        padded = sum(len(cuts) * max(cut.duration for cut in cuts) for cuts in batches)
        return 1 - sum(cut.duration for cuts in batches for cut in cuts) / padded

    assert padding(10) < 0.1
    assert padding(1) > 0.3


def test_short_rows_are_counted_or_refused(caplog):
    cuts = rows_lasting([100, 900, 200, 800])
    with caplog.at_level(logging.WARNING, logger="audiossl"):
        stream = BatchStream(cuts, LoaderConfig(batch_size=9, min_duration_s=0.5), seed=0)
    assert "2 rows shorter than 0.5 s are left out" in caplog.text
    assert sorted(cut.id for cut in next(iter(stream)).cuts) == ["c001", "c003"]
    evaluated = BatchStream(cuts, LoaderConfig(batch_size=9, min_duration_s=0.5), seed=0, shuffle=False)
    assert len(next(iter(evaluated)).cuts) == 4  # evaluation leaves nothing out
    with pytest.raises(ManifestError, match=r"Row c000 \(none\.wav\) lasts 0\.1 s, too short"):
        make_loader(cuts, LoaderConfig(), sample_rate_hz=RATE, seed=0, train=True, min_samples=150)
    with pytest.raises(ManifestError, match="No row of the manifest is left"):
        BatchStream(cuts, LoaderConfig(min_duration_s=5), seed=0)


def test_rows_that_no_batch_can_hold():
    with pytest.raises(ManifestError, match=r"Row c001 .* lasts 9 s, longer than max_duration_s=5"):
        BatchStream(rows_lasting([100, 9000]), LoaderConfig(max_duration_s=5), seed=0)
    cuts = rows_lasting([100, 9000])
    stream = BatchStream(cuts, LoaderConfig(max_duration_s=5, max_crop_s=2), seed=0)
    assert {cut.duration for cut in next(iter(stream)).cuts} == {0.1, 2.0}
    twice = CutSet(list(cuts) + list(cuts))
    with pytest.raises(ManifestError, match="two rows with the id c000"):
        BatchStream(twice, LoaderConfig(), seed=0)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": None}, {"batch_size": 0}, {"max_duration_s": -1.0}, {"num_workers": -1}, {"max_crop_s": 0.0}],
)
def test_settings_that_make_no_sense(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LoaderConfig(**options)
    with pytest.raises(ConfigError, match="max_crop_s=0.01 is below the 20 samples"):
        make_loader(
            rows_lasting([100]), LoaderConfig(max_crop_s=0.01), sample_rate_hz=RATE, seed=0, train=True, min_samples=20
        )


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
        loader = make_loader(manifest, config, sample_rate_hz=16000, seed=1, train=True, start=start)
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
    loader = make_loader(manifest, LoaderConfig(batch_size=5), sample_rate_hz=16000, seed=0, train=False)
    first, again = ([cut.id for batch in loader for cut in batch.cuts] for _ in range(2))
    assert first == again
    assert sorted(first) == sorted(f"r{n}" for n in range(12))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_in_a_worker_is_the_same_sentence(manifest, tmp_path, num_workers):
    (tmp_path / "r7.wav").unlink()
    config = LoaderConfig(batch_size=5, num_workers=num_workers)
    loader = make_loader(manifest, config, sample_rate_hz=16000, seed=0, train=False)
    with pytest.raises(AudioError) as caught:
        list(loader)
    assert (
        str(caught.value)
        == f"{tmp_path / 'r7.wav'} is missing; correct the path in the manifest, or put the file there."
    )


SCRIPT = """
import sys
sys.modules["torchaudio"] = None  # any import of it fails
from pathlib import Path
from audiossl.data.loader import LoaderConfig, make_loader
from audiossl.data.manifests import cuts_from_folder, read_manifest, stats, validate, write_manifests
path = write_manifests(cuts_from_folder(sys.argv[1]), Path(sys.argv[1], "out"))["all"]
cuts = read_manifest(path)
assert validate(cuts) == [] and stats(cuts)["num_rows"] == 2
config = LoaderConfig(batch_size=2, max_crop_s=0.1)
batch = next(iter(make_loader(cuts, config, sample_rate_hz=8000, seed=0, train=True)))
print(tuple(batch.wavs.shape))
"""


def test_nothing_here_needs_torchaudio(sound, tmp_path):
    sound("a.wav", 4000)
    sound("b.flac", 4000)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "(2, 800)"), done.stderr


def labelled(counts):
    """Rows with as many of each label as `counts` says; the label None is no label."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    cuts = list(rows_lasting([500 + 10 * number for number in range(len(labels))]))
    for cut, label in zip(cuts, labels, strict=True):
        custom = {"label": label} if label else None
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, custom=custom)]
    return CutSet.from_cuts(cuts)


def epochs_of(cuts, config, count, **place):
    stream, found = BatchStream(cuts, config, seed=3, **place), [[] for _ in range(count)]
    for item in stream:
        if item.position.epoch == count:
            return found
        found[item.position.epoch] += item.cuts
    return found


def test_balanced_training_draws_every_label_equally_often():
    cuts = labelled({"rare": 3, "common": 40, "usual": 17})
    first, second = epochs_of(cuts, LoaderConfig(batch_size=7, balance="label", pool_size=20), 2)
    for epoch in (first, second):
        uses = Counter(cut.id for cut in epoch)
        drawn = Counter(cut.supervisions[0].custom["label"] for cut in epoch)
        assert len(epoch) == 60
        assert set(drawn.values()) == {20}
        rare = [count for name, count in uses.items() if name in {"c000", "c001", "c002"}]
        assert sorted(rare) == [6, 7, 7]  # no row comes again before all others of its label did
    assert [cut.id for cut in first] != [cut.id for cut in second]
    assert {cut.id for cut in first} != {cut.id for cut in second}


def test_a_balanced_stream_resumes_and_dev_is_not_balanced():
    cuts, config = labelled({"a": 4, "b": 20}), LoaderConfig(batch_size=5, balance="label")
    whole = ids(islice(BatchStream(cuts, config, seed=0), 12))
    resumed = BatchStream(cuts, config, seed=0, start=whole[4][0])
    assert ids(islice(resumed, 7)) == whole[5:]
    assert sum(len(item.cuts) for item in BatchStream(cuts, config, seed=0, shuffle=False)) == 24


def test_a_row_that_is_drawn_twice_is_cropped_elsewhere():
    cuts = labelled({"a": 1, "b": 30})
    config = LoaderConfig(batch_size=8, balance="label", max_crop_s=0.2)
    (epoch,) = epochs_of(cuts, config, 1)
    starts = [cut.start for cut in epoch if cut.id == "c000"]
    assert len(starts) >= 15
    assert len(set(starts)) > len(starts) // 2


def test_a_row_without_the_field_to_balance_by_is_named():
    with pytest.raises(ManifestError, match=r"Row c002 has nothing in the field 'label'.*data\.balance"):
        next(iter(BatchStream(labelled({"a": 2, None: 1}), LoaderConfig(balance="label"), seed=0)))


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


def test_speeds_are_drawn_anew_in_every_epoch_and_again_after_a_restart():
    config = LoaderConfig(batch_size=4, speeds=[0.8, 1.0, 1.25])
    cuts = rows_lasting([1000] * 40)

    def drawn(items):
        return [{cut.id: cut.num_samples for cut in item.cuts} for item in items]

    whole = list(islice(BatchStream(cuts, config, seed=0), 20))
    first, second = ({k: v for each in drawn(part) for k, v in each.items()} for part in (whole[:10], whole[10:]))
    assert set(first) == set(second) and first != second
    assert set(first.values()) == {1250, 1000, 800}
    again = islice(BatchStream(cuts, config, seed=0, start=whole[6].position), 13)
    assert drawn(again) == drawn(whole[7:])
    dev = [cut.num_samples for item in BatchStream(cuts, config, seed=0, shuffle=False) for cut in item.cuts]
    assert dev == [1000] * 40


def test_rows_too_short_or_long_at_some_speed_are_named_before_training():
    cuts = rows_lasting([1000, 2000])
    fast = LoaderConfig(batch_size=2, speeds=[1.0, 1.25])
    with pytest.raises(ManifestError, match=r"c000 .* lasts 0.8 s at speed 1.25, too short for this encoder"):
        BatchStream(cuts, fast, seed=0, shortest_s=0.9)
    BatchStream(cuts, fast, seed=0, shortest_s=0.9, shuffle=False)
    slow = LoaderConfig(max_duration_s=2.2, speeds=[0.8])
    with pytest.raises(ManifestError, match=r"c001 .* lasts 2.5 s at speed 0.8, longer than max_duration_s=2.2"):
        BatchStream(cuts, slow, seed=0)
    with pytest.raises(ConfigError, match=r"speeds=\[0.9, 11\] must be from 0.5 to 2"):
        LoaderConfig(speeds=[0.9, 11])
