"""Frame labels: an array for each row at a stated rate, which is cropped and played faster with its sound.

They may be units or phones, a class for each frame (T,), or who speaks, 0 or 1 for each of K speakers (T, K). A row
names its array in its cut's `custom` as lhotse's `TemporalArray`, in any kind of file of numbers that lhotse reads.

Frame j has its label from j / rate_hz to (j + 1) / rate_hz seconds after the start of the array. Labels are thus a step
function of time. A crop may begin within a frame, and at speed v a frame lasts 1 / (v rate_hz). Nothing of that is
rounded until the label of a moment is asked for. A moment less than a millionth of a frame before a boundary belongs to
the later frame, so that rates that divide one another are exact.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl.core.errors import LabelError, ManifestError, did_you_mean
from audiossl.data.local import load_array

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

Labels = npt.NDArray[np.int64]

IGNORED = -1  # the class of padding, which no loss or metric counts
_NEARLY = 1e-6  # of a frame


class HasFrames(Protocol):
    """Anything that says which samples its frames see, as an encoder does."""

    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def receptive_field(self) -> int: ...
    @property
    def edge(self) -> int: ...


class FrameLabels(NamedTuple):
    """The labels of one row's sound, as it is after crop and speed.

    values: (T,) or (T, K), from the frame in which the sound begins to the one in which it ends. rate_hz: as stated, at
    speed 1. speed: how much faster the sound is. lead: how much of the first frame lies before the sound, in frames.
    """

    values: Labels
    rate_hz: float
    speed: float = 1.0
    lead: float = 0.0

    def at(self, times_s: npt.NDArray[np.float64]) -> Labels:
        """(N,) seconds from the beginning of the sound -> labels (N,) or (N, K), outside it those of its ends.

        >>> FrameLabels(np.array([7, 8, 9]), rate_hz=10).at(np.array([0.05, 0.1, 0.29, 0.4]))
        array([7, 8, 9, 9])
        """
        places = np.floor(times_s * (self.rate_hz * self.speed) + self.lead + _NEARLY).astype(np.int64)
        found: Labels = self.values[places.clip(0, len(self.values) - 1)]
        return found


class LabelBatch(NamedTuple):
    """The frame labels of B rows, padded to the longest.

    values: int64 (B, T), `IGNORED` beyond the lengths, or (B, T, K), 0 beyond them and for speakers that a row lacks.
    lengths: (B,) int64 frames.
    """

    values: Tensor
    lengths: Tensor


def write_frame_labels(
    rows: Iterable[tuple[Cut, npt.ArrayLike]], name: str, rate_hz: float, folder: str | Path
) -> CutSet:
    """Write the labels of rows, one small file each, and return the rows with the names of their files.

    rows: each with its labels, integers (T,) or (T, K), where T is its duration times `rate_hz` within one frame.
    name: by which tasks ask for them.
    rate_hz: labels a second.
    folder: for these labels alone, beside the manifest. What it has of a row with the same id is replaced.
    Raises LabelError for the first row whose labels are not such.
    """
    from lhotse import CutSet, NumpyFilesWriter

    if not rate_hz > 0:
        raise ValueError(f"rate_hz={rate_hz} must be above zero.")
    writer, named = NumpyFilesWriter(str(folder)), []
    for cut, labels in rows:
        values = _checked(np.asarray(labels), cut, name)
        expected = cut.duration * rate_hz
        if cut.recording.transforms:
            raise LabelError(
                f"Row {cut.id} has its sound changed by lhotse; give the labels {name!r} to the row before."
            )
        if abs(len(values) - expected) > 1 + _NEARLY:
            raise LabelError(
                f"The {len(values)} labels {name!r} of row {cut.id} last {len(values) / rate_hz:g} s at {rate_hz:g} "
                f"Hz, but the row {cut.duration:g} s; make them from its own sound, or state their true rate."
            )
        # An id may hold what no file's name can.
        key = hashlib.blake2b(str(cut.id).encode(), digest_size=16).hexdigest()
        small = values.astype(np.min_scalar_type(values.max()))
        stored = writer.store_array(key, small, frame_shift=1 / rate_hz, temporal_dim=0, start=cut.start)
        named.append(cut.with_custom(name, stored))
    return CutSet.from_cuts(named)


def read_frame_labels(cut: Cut, name: str) -> FrameLabels:
    """The labels of the part of the sound that a row has left, at the speed that it has.

    The array may reach beyond the row, which may be a window over a longer recording.
    Raises LabelError for a row without them, or whose labels are no such integers or end over a frame before its sound.
    """
    from lhotse.array import TemporalArray

    named: dict[str, Any] = getattr(cut, "custom", None) or {}
    stored = named.get(name)
    if not isinstance(stored, TemporalArray):
        known = [key for key, value in named.items() if isinstance(value, TemporalArray)]
        hint = f"{did_you_mean(name, known)} " if known else ""
        raise LabelError(
            f"Row {cut.id} has no frame labels {name!r}. {hint}"
            f"Write them with `write_frame_labels`, or leave the row out."
        )
    values, rate = _checked(_loaded(stored, cut, name), cut, name), 1 / stored.frame_shift
    # Where the sound begins and ends in frames of the array, and how often its changes rounded to a sample.
    begin_s, lasting_s = span_in_file(cut)
    first = (begin_s - stored.start) * rate
    last = first + lasting_s * rate
    slack = 1 + _NEARLY + rate / cut.sampling_rate * len(cut.recording.transforms or [])
    if first < -slack or last > len(values) + slack:
        raise LabelError(
            f"The labels {name!r} of row {cut.id} are of {stored.start:g} s to "
            f"{stored.start + len(values) / rate:g} s of its recording, but its sound is of {begin_s:g} s to "
            f"{begin_s + lasting_s:g} s; write them again."
        )
    start = min(max(math.floor(first + _NEARLY), 0), len(values) - 1)
    stop = max(math.ceil(last - _NEARLY), start + 1)
    return FrameLabels(values[start:stop], rate, lasting_s / cut.duration, first - start)


def align(labels: FrameLabels, num_frames: int, encoder: HasFrames) -> Labels:
    """(num_frames,) or (num_frames, K): the label at the centre of each frame of an encoder."""
    step_s = encoder.stride / encoder.sample_rate_hz
    return labels.at(np.arange(num_frames, dtype=np.float64) * step_s + first_centre_s(encoder))


def first_centre_s(encoder: HasFrames) -> float:
    """Seconds from the start of the sound to the centre of an encoder's first frame.

    Frame j sees the samples from j stride - edge to j stride - edge + receptive_field - 1, so that its centre is at
    (j stride - edge + (receptive_field - 1) / 2) / sample_rate_hz seconds.
    """
    return ((encoder.receptive_field - 1) / 2 - encoder.edge) / encoder.sample_rate_hz


def frame_labels_of(cuts: Sequence[Cut], name: str) -> LabelBatch:
    """The labels of a batch's rows at their stated rate, of each frame the label at its middle.

    Raises LabelError as `read_frame_labels` does, and for rows with different rates.
    """
    found = [read_frame_labels(cut, name) for cut in cuts]
    for cut, labels in zip(cuts, found, strict=True):
        if labels.rate_hz != found[0].rate_hz:
            raise LabelError(
                f"The labels {name!r} have {found[0].rate_hz:g} Hz in row {cuts[0].id} and {labels.rate_hz:g} Hz in "
                f"row {cut.id}; write all at one rate."
            )
    counts = [max(1, math.floor(cut.duration * found[0].rate_hz + 0.5 + _NEARLY)) for cut in cuts]
    middles = [(np.arange(count) + 0.5) / found[0].rate_hz for count in counts]
    return _padded(cuts, name, [labels.at(times) for labels, times in zip(found, middles, strict=True)])


def aligned_labels_of(
    cuts: Sequence[Cut], name: str, num_frames: Iterable[int] | Tensor, encoder: HasFrames
) -> LabelBatch:
    """The labels of a batch's rows at the frames of an encoder (see `align`), whatever their own rates.

    cuts: `batch.cuts`.
    name: of the labels in the manifest.
    num_frames: (B,), as `features.lengths`.
    encoder: whose frames they are.
    Raises LabelError as `read_frame_labels` does.
    """
    found = [align(read_frame_labels(cut, name), int(n), encoder) for cut, n in zip(cuts, num_frames, strict=True)]
    return _padded(cuts, name, found)


def _padded(cuts: Sequence[Cut], name: str, found: Sequence[Labels]) -> LabelBatch:
    for cut, labels in zip(cuts, found, strict=True):
        if labels.ndim != found[0].ndim:
            raise LabelError(
                f"The labels {name!r} are classes (T,) in one and speakers (T, K) in the other of the rows "
                f"{cuts[0].id} and {cut.id}; write all alike."
            )
    largest = [max(sizes) for sizes in zip(*(labels.shape for labels in found), strict=True)]  # T or T, K
    values = torch.full((len(found), *largest), IGNORED if len(largest) == 1 else 0, dtype=torch.int64)
    for row, labels in zip(values, found, strict=True):
        row[tuple(slice(size) for size in labels.shape)] = torch.from_numpy(labels)
    return LabelBatch(values, torch.tensor([len(labels) for labels in found]))


def _loaded(stored: Any, cut: Cut, name: str) -> npt.NDArray[Any]:
    try:
        return np.moveaxis(load_array(stored), stored.temporal_dim, 0)
    except ManifestError as error:
        raise LabelError(f"Row {cut.id} {error}") from error
    except Exception as error:  # each kind of storage has errors of its own
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise LabelError(f"The labels {name!r} of row {cut.id} cannot be read ({reason}); write them again.") from error


def span_in_file(cut: Cut) -> tuple[float, float]:
    """Start and duration in seconds of the part of the sound file that a row is made of, as lhotse reads it."""
    from lhotse.augmentation import AudioTransform

    start_s, duration_s = cut.start, cut.duration
    for change in reversed(cut.recording.transforms or []):
        made = AudioTransform.from_dict(change) if isinstance(change, dict) else change
        start_s, duration_s = made.reverse_timestamps(start_s, duration_s, cut.recording.sampling_rate)
    return start_s, duration_s


def _checked(values: npt.NDArray[Any], cut: Cut, name: str) -> Labels:
    """As int64. Raises LabelError for what is not (T,) classes or (T, K) activity."""
    what = f"The labels {name!r} of row {cut.id}"
    if values.dtype.kind not in "biu" or values.ndim not in (1, 2) or not values.size:
        raise LabelError(
            f"{what} are {values.dtype} {values.shape}; they must be integers, (T,) for classes or (T, K) for speakers."
        )
    if values.min() < 0:
        place = int(np.argwhere(values < 0)[0][0])
        raise LabelError(f"{what} are negative in frame {place}; classes count from 0, so give unlabelled frames one.")
    if values.ndim == 2 and values.max() > 1:
        raise LabelError(f"{what} reach {values.max()}; of each speaker they must be 0 or 1.")
    return values.astype(np.int64)
