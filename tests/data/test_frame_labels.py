"""Frame labels agree with the sound, sample for sample, after every crop and at every speed."""

from __future__ import annotations

import dataclasses
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording
from lhotse.audio import AudioSource

from audiossl.core.errors import LabelError
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import at_speed, crop
from audiossl.data.frame_labels import (
    IGNORED,
    FrameLabels,
    align,
    aligned_labels_of,
    frame_labels_of,
    read_frame_labels,
    write_frame_labels,
)
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.reading import read_cut
from audiossl.data.stream import StreamPlan

RATE, LABEL_HZ = 8000, 100
SIZE = RATE // LABEL_HZ  # samples of a label
NUM_CLASSES = 8
RINGING = 4  # samples beside a step that resampling blurs


@pytest.fixture
def stairs(tmp_path):
    """A row with frame labels 'stair' that its sound says too: it is k / 10 wherever the label is k.

    before: samples of the recording before the row.
    """

    def make(name="stairs", num_labels=120, before=0, rate_hz=LABEL_HZ, seed=0):
        labels = np.random.default_rng(seed).integers(0, NUM_CLASSES, num_labels)
        samples = np.concatenate([np.full(before, 0.9), np.repeat(labels, round(RATE / rate_hz)) / 10])
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples.astype(np.float32), RATE, subtype="FLOAT")
        recording = Recording(name, [AudioSource("file", [0], str(path))], RATE, len(samples), len(samples) / RATE)
        duration = (len(samples) - before) / RATE
        cut = MonoCut(name, start=before / RATE, duration=duration, channel=0, recording=recording, supervisions=[])
        (row,) = write_frame_labels([(cut, labels)], "stair", rate_hz, tmp_path / "stair")
        return row, labels

    return make


def heard(sound):
    """The label that each sample says, and whether it is far enough from every step to say one."""
    said = np.round(10 * sound).astype(int)
    steps = np.flatnonzero(np.diff(said))
    sure = np.ones(len(sound), bool)
    for step in steps:
        sure[max(0, step + 1 - RINGING) : step + 1 + RINGING] = False
    sure[:RINGING] = sure[len(sound) - RINGING :] = False
    return said, sure


def agree(row, name="stair"):
    """Share of the samples of which sound and labels say the same, and how many say anything."""
    sound = read_cut(row, RATE)
    labels = read_frame_labels(row, name).at((np.arange(len(sound)) + 0.5) / RATE)
    said, sure = heard(sound)
    assert sure.mean() > 0.5
    return (said == labels)[sure].mean(), len(sound)


@pytest.mark.parametrize("before", [0, 1, 333, 8000])
def test_a_whole_row_has_its_labels(stairs, before):
    row, labels = stairs(before=before)
    found = read_frame_labels(row, "stair")
    np.testing.assert_array_equal(found.values, labels)
    assert (found.rate_hz, found.speed, found.lead) == (LABEL_HZ, 1.0, pytest.approx(0, abs=1e-9))
    values, lengths = frame_labels_of([row], "stair")
    np.testing.assert_array_equal(values[0].numpy(), labels)
    assert lengths.tolist() == [120]


@pytest.mark.parametrize("before", [0, 333])
def test_a_crop_keeps_of_the_labels_what_it_keeps_of_the_sound(stairs, before):
    row, labels = stairs(before=before)
    of_samples, leads = np.repeat(labels, SIZE), set()
    for epoch in range(12):
        part = crop(row, 0.4, 0, epoch)
        found, first = read_frame_labels(part, "stair"), round(part.start * RATE) - before
        # Nothing was resampled, so every sample says its label.
        np.testing.assert_array_equal(
            found.at(np.arange(part.num_samples) / RATE), of_samples[first : first + part.num_samples]
        )
        np.testing.assert_array_equal(np.round(10 * read_cut(part, RATE)), of_samples[first:][: part.num_samples])
        # At the labels' own rate: the label at the middle of each frame of the crop.
        values, lengths = frame_labels_of([part], "stair")
        np.testing.assert_array_equal(values[0].numpy(), of_samples[first + SIZE // 2 :: SIZE][:40])
        assert lengths.tolist() == [40]
        leads.add(round(found.lead * SIZE))
    assert len(leads) > 6  # crops begin within frames


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25, 2.0])
@pytest.mark.parametrize("before", [0, 333])
def test_at_a_speed_labels_last_as_long_as_their_sound(stairs, speed, before):
    row, labels = stairs(before=before)
    faster = at_speed(row, speed)
    assert agree(faster) == (1.0, round(len(labels) * SIZE / speed))
    values, lengths = frame_labels_of([faster], "stair")
    assert lengths.tolist() == [round(120 / speed)]
    nearest = labels[np.floor((np.arange(int(lengths)) + 0.5) * speed + 1e-6).astype(int).clip(0, 119)]
    assert (values[0].numpy() == nearest).mean() > 0.97  # but for ties, where the row begins within a sample
    shifted = at_speed(row, 1.0)
    assert shifted is row


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("before", [0, 333])
def test_a_crop_of_a_faster_row_agrees_with_its_sound(stairs, speed, before):
    row, _ = stairs(before=before)
    for epoch in range(8):
        assert agree(crop(at_speed(row, speed), 0.4, 3, epoch)) == (1.0, 3200)


def test_the_wrong_labels_do_not_agree(stairs):
    """The check of the tests above: labels that were cropped, or played faster, by themselves are found out."""
    row, _ = stairs()
    part = crop(row, 0.4, 0, 1)
    assert agree(part)[0] == 1.0
    moved = part.with_custom("stair", dataclasses.replace(part.custom["stair"], start=part.start))
    assert agree(moved)[0] < 0.5  # as if the array began with the crop
    faster = at_speed(row, 0.9)
    said, sure = heard(read_cut(faster, RATE))
    unchanged = read_frame_labels(row, "stair").at(np.arange(len(said)) / RATE)  # as if nothing were slower
    assert (said == unchanged)[sure].mean() < 0.5


def test_batches_of_a_loader_carry_their_labels(stairs, tmp_path):
    rows = CutSet.from_cuts([stairs(f"s{n}", 60 + 10 * n, 100 * n, seed=n)[0] for n in range(6)])
    manifest = read_manifest(write_manifests({"train": rows}, tmp_path)["train"])
    config = LoaderConfig(batch_size=4, max_crop_s=0.5, speeds=[0.8, 1.0, 1.25], num_workers=1)
    uses = 0
    for batch in islice(make_loader(manifest, StreamPlan(config, sample_rate_hz=RATE, train=True)), 8):
        values, lengths = frame_labels_of(batch.cuts, "stair")
        assert values.shape == (len(batch), lengths.max())
        for index, cut in enumerate(batch.cuts):
            sound = batch.wavs[index, : batch.lengths[index]].numpy()
            said, sure = heard(sound)
            labels = read_frame_labels(cut, "stair").at((np.arange(len(sound)) + 0.5) / RATE)
            assert (said == labels)[sure].all()
            middles = np.minimum((np.arange(int(lengths[index])) * SIZE) + SIZE // 2, len(sound) - 1)
            assert (said[middles] == values[index, : lengths[index]].numpy())[sure[middles]].all()
            assert (values[index, lengths[index] :] == IGNORED).all()
            uses += 1
    assert uses > 20


ENCODERS = {
    "convolutions": SimpleNamespace(sample_rate_hz=RATE, stride=160, receptive_field=200, edge=0),
    "mirrored": SimpleNamespace(sample_rate_hz=RATE, stride=80, receptive_field=200, edge=100),
    "of each sample": SimpleNamespace(sample_rate_hz=RATE, stride=1, receptive_field=1, edge=0),
    "finer than labels": SimpleNamespace(sample_rate_hz=RATE, stride=20, receptive_field=41, edge=20),
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_a_frame_of_an_encoder_has_the_label_at_its_centre(stairs, encoder):
    row, labels = stairs()
    of_samples = np.repeat(labels, SIZE)
    for cut in (row, crop(row, 0.4, 0, 5)):
        first, size = round(cut.start * RATE), cut.num_samples
        count = (size + 2 * encoder.edge - encoder.receptive_field) // encoder.stride + 1
        centres = np.arange(count) * encoder.stride - encoder.edge + (encoder.receptive_field - 1) / 2
        expected = of_samples[first : first + size][np.floor(centres).astype(int).clip(0, size - 1)]
        np.testing.assert_array_equal(align(read_frame_labels(cut, "stair"), count, encoder), expected)
    part, whole = cut, row
    frames = [(c.num_samples + 2 * encoder.edge - encoder.receptive_field) // encoder.stride + 1 for c in (part, whole)]
    values, lengths = aligned_labels_of([part, whole], "stair", frames, encoder)
    assert lengths.tolist() == frames
    np.testing.assert_array_equal(values[0, : frames[0]].numpy(), expected)
    assert (values[0, frames[0] :] == IGNORED).all()


def test_labels_at_any_rate_that_divides_are_exact(stairs):
    for rate_hz in (1, 49.382716049382715, 50, 1000, RATE):  # 162 samples
        num_labels = round(1.2 * rate_hz) or 1
        row, labels = stairs(f"r{rate_hz}", num_labels, rate_hz=rate_hz)
        found = read_frame_labels(row, "stair")
        size = round(RATE / rate_hz)
        np.testing.assert_array_equal(found.at(np.arange(size * num_labels) / RATE), np.repeat(labels, size))


def test_who_speaks_is_padded_with_silence(stairs, tmp_path):
    (long, _), (short, _) = stairs("long", 90), stairs("short", 50)
    spoken = {"long": np.eye(3, dtype=bool)[np.arange(90) % 3], "short": np.ones((50, 1), np.uint8)}
    rows = [(long, spoken["long"]), (short, spoken["short"])]
    values, lengths = frame_labels_of(
        list(write_frame_labels(rows, "speakers", LABEL_HZ, tmp_path / "who")), "speakers"
    )
    assert (tuple(values.shape), lengths.tolist()) == ((2, 90, 3), [90, 50])
    np.testing.assert_array_equal(values[0].numpy(), spoken["long"])
    assert values[1, :50, 0].all()
    assert not values[1, 50:].any()
    assert not values[1, :, 1:].any()


def test_labels_that_lhotse_stored_are_read_in_windows_of_their_recording(stairs):
    """An array that covers more than the row: rows that lhotse cut out of a longer one keep naming it."""
    row, labels = stairs()
    windows = CutSet.from_cuts([row]).cut_into_windows(0.3)
    parts = [frame_labels_of([window], "stair").values[0].numpy() for window in windows]
    np.testing.assert_array_equal(np.concatenate(parts), labels)


def test_rows_of_one_folder_do_not_overwrite_each_other(stairs):
    (one, first), (other, second) = stairs("a/b".replace("/", "_"), seed=1), stairs("x", seed=2)
    for row, labels in ((one, first), (other, second)):
        np.testing.assert_array_equal(read_frame_labels(row, "stair").values, labels)


def test_an_id_may_hold_what_a_file_name_cannot(stairs, tmp_path):
    row, labels = stairs()
    row.id = "speaker/1:2 ?.wav"
    (written,) = write_frame_labels([(row, labels)], "again", LABEL_HZ, tmp_path / "again")
    np.testing.assert_array_equal(read_frame_labels(written, "again").values, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(120), r"row stairs are float64 \(120,\); they must be integers"),
        (np.zeros((120, 2, 2), int), r"row stairs are int64 \(120, 2, 2\)"),
        (np.zeros(0, int), r"row stairs are int64 \(0,\)"),
        (np.r_[np.zeros(7, int), -1, np.zeros(112, int)], r"row stairs are negative in frame 7"),
        (np.full((120, 2), 2), r"row stairs reach 2; of each speaker they must be 0 or 1"),
        (np.zeros(118, int), r"The 118 labels 'other' of row stairs last 1\.18 s at 100 Hz, but the row 1\.2 s"),
        (np.zeros(122, int), r"row stairs last 1\.22 s"),
    ],
)
def test_labels_that_are_none_are_refused_by_their_row(stairs, tmp_path, labels, message):
    row, _ = stairs()
    with pytest.raises(LabelError, match=message):
        write_frame_labels([(row, labels)], "other", LABEL_HZ, tmp_path / "other")


def test_a_frame_more_or_less_is_rounding(stairs, tmp_path):
    row, labels = stairs()
    for count in (119, 121):
        (written,) = write_frame_labels([(row, np.resize(labels, count))], "other", LABEL_HZ, tmp_path / f"n{count}")
        assert frame_labels_of([written], "other").lengths.tolist() == [120]
    short = read_frame_labels(written, "other")
    assert short.at(np.array([-1.0, 99.0])).tolist() == [labels[0], np.resize(labels, 121)[119]]


def test_rows_without_readable_labels_are_named(stairs, tmp_path):
    row, labels = stairs()
    with pytest.raises(LabelError, match=r"Row stairs has no frame labels 'stairs'\. Did you mean stair\?"):
        read_frame_labels(row, "stairs")
    bare = row.drop_custom("stair")
    with pytest.raises(LabelError, match=r"Row stairs has no frame labels 'stair'\. Write them"):
        frame_labels_of([bare], "stair")
    row, _ = stairs()
    stored = row.custom["stair"]
    (tmp_path / "stair" / stored.array.storage_key).unlink()
    with pytest.raises(LabelError, match=r"labels 'stair' of row stairs cannot be read"):
        read_frame_labels(row, "stair")
    row, _ = stairs()
    np.save(tmp_path / "stair" / stored.array.storage_key, labels[:100])
    with pytest.raises(
        LabelError, match=r"row stairs are of 0 s to 1 s of its recording, but its sound is of 0 s to 1\.2 s"
    ):
        read_frame_labels(row, "stair")
    np.save(tmp_path / "stair" / stored.array.storage_key, labels / 2)
    with pytest.raises(LabelError, match=r"row stairs are float64"):
        read_frame_labels(row, "stair")


def test_a_batch_has_one_rate_and_one_kind(stairs, tmp_path):
    (one, labels), (other, _) = stairs("one"), stairs("other")
    (slow,) = write_frame_labels([(other, labels[::2])], "stair", LABEL_HZ / 2, tmp_path / "slow")
    with pytest.raises(LabelError, match=r"'stair' have 100 Hz in row one and 50 Hz in row other"):
        frame_labels_of([one, slow], "stair")
    values, _ = aligned_labels_of([one, slow], "stair", [120, 120], ENCODERS["finer than labels"])
    assert tuple(values.shape) == (2, 120)  # at an encoder's frames, any rates go together
    (speakers,) = write_frame_labels([(other, labels[:, None] > 3)], "stair", LABEL_HZ, tmp_path / "who")
    with pytest.raises(
        LabelError, match=r"classes \(T,\) in one and speakers \(T, K\) in the other of the rows one and"
    ):
        frame_labels_of([one, speakers], "stair")


def test_a_row_that_was_changed_before_is_refused(stairs, tmp_path):
    row, labels = stairs()
    with pytest.raises(LabelError, match=r"Row stairs has its sound changed"):
        write_frame_labels([(at_speed(row, 1.25), labels[:96])], "late", LABEL_HZ, tmp_path / "late")
    with pytest.raises(ValueError, match="rate_hz=0 must be above zero"):
        write_frame_labels([(row, labels)], "late", 0, tmp_path / "late")


def test_a_moment_on_a_boundary_belongs_to_the_later_frame():
    labels = FrameLabels(np.arange(1000), rate_hz=30.0)
    np.testing.assert_array_equal(labels.at(np.arange(1000) / 30.0), np.arange(1000))
