"""Embeddings of windows of a long recording. What is held is a chunk, a batch and the embeddings.

With `context="window"` each window is encoded by itself, as recordings in training were. With `context="recording"` the
encoder runs once, chunk by chunk (`audiossl.encoders.long_audio`), and the head reads the frames whose centres lie in a
window. They are those that the encoder gives the whole recording, as exactly as chunks are. They are not those of the
window alone: a Transformer's have seen all other speakers of the chunk, and what an encoder normalises over its input
it normalises over a chunk.

The head reads frames that are audible alone. Pauses say nothing of a voice, and a tenth of silence in a window changes
pooled statistics as much as another speaker does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.types import Batch
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.reading import place_of
from audiossl.downstreams.speaker_verification.diarizing.speech import Stretch
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.encoders.devices import device_of
from audiossl.encoders.long_audio import MovingWindow, Recording, encode_long, fitting_chunks, recording_of
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse.cut import Cut

_BATCH = 64
_NEARLY = 1e-6  # of a frame, or of a hop


class Window(NamedTuple):
    """A part of a recording in seconds, and which of the stretches of speech it is of."""

    start_s: float
    end_s: float
    stretch: int


def windows_in(speech: Sequence[Stretch], window_s: float, hop_s: float, duration_s: float) -> list[Window]:
    """Windows over all speech, in the order of their starts. The last in a stretch ends with it.

    A stretch that is shorter than half a window has one of that length, with what lies around it.

    speech: stretches that do not overlap.
    window_s: seconds in a window, where a stretch is as long.
    hop_s: seconds from one to the next.
    duration_s: of the recording.
    """
    found = []
    for number, (start_s, end_s) in enumerate(speech):
        lasts_s = end_s - start_s
        if lasts_s > window_s:
            hops = math.ceil((lasts_s - window_s) / hop_s - _NEARLY)
            starts = [*(start_s + hop * hop_s for hop in range(hops)), end_s - window_s]
            found += [Window(at_s, at_s + window_s, number) for at_s in starts]
            continue
        wanted_s = min(max(lasts_s, window_s / 2), duration_s)
        first_s = min(max((start_s + end_s - wanted_s) / 2, 0.0), duration_s - wanted_s)
        found.append(Window(first_s, first_s + wanted_s, number))
    return sorted(found)


def embed_windows(
    task: SpeakerVerification,
    cut: Cut,
    windows: Sequence[Window],
    *,
    audible: Sequence[Stretch] | None = None,
    whole: bool = True,
) -> Floats:
    """(N, E) embeddings.

    task: in eval mode.
    cut: the recording.
    windows: in the order of their starts.
    audible: frames outside are left out, unless a window has too few inside. None to take all.
    whole: whether the encoder runs over the recording, and not over each window.
    Raises AudioError for a recording of which the head needs more frames, or has an embedding that is not a number,
    ConfigError for an interface that gives other frames than the encoder.
    """
    recording = recording_of(cut, task.upstream.sample_rate_hz)
    count = int(task.upstream.num_frames(recording.num_samples))
    if count < task.min_frames:
        raise AudioError(
            f"{place_of(cut)} has {count} frames of this encoder, and the head needs {task.min_frames}; give a longer "
            f"recording."
        )
    parts = _of_states(task, cut, count, windows) if whole else _of_sound(task, recording, windows)
    vectors = []
    with torch.inference_mode():
        for items, starts_s in parts:
            kept = [_audible(task, *each, audible) for each in zip(items, starts_s, strict=True)]
            lengths = torch.tensor([len(item) for item in kept], device=kept[0].device)
            vectors.append(task.outputs(pad_sequence(kept, batch_first=True), lengths)["embedding"].cpu())
    made: Floats = torch.cat(vectors).double().numpy()
    if not np.isfinite(made).all():
        first = windows[int(np.argmin(np.isfinite(made).all(axis=1)))]
        raise AudioError(
            f"{place_of(cut)} has from {first.start_s:.1f} s to {first.end_s:.1f} s an embedding that is not a number; "
            f"look there for silence, or name the speech with --speech."
        )
    return made


def _audible(task: SpeakerVerification, item: Tensor, start_s: float, audible: Sequence[Stretch] | None) -> Tensor:
    """(t, D) of (T, D) the frames that are audible. All where those are fewer than a quarter, or than the head needs.

    task: whose encoder gave the frames.
    item: (T, D).
    start_s: the centre of the first.
    audible: stretches in order, None for all.
    """
    if not audible:
        return item
    times_s = start_s + np.arange(len(item)) * task.upstream.stride / task.upstream.sample_rate_hz
    edges_s = np.array(audible).reshape(-1)  # a time is in a stretch where an odd number of edges lies before it
    inside = np.searchsorted(edges_s, times_s, side="right") % 2 == 1
    if inside.sum() < max(task.min_frames, len(item) / 4):
        return item
    return item[torch.from_numpy(inside).to(item.device)]


def _of_states(
    task: SpeakerVerification, cut: Cut, count: int, windows: Sequence[Window]
) -> Iterator[tuple[list[Tensor], list[float]]]:
    """Of batches of windows the frames (T, D) of each and the centre of its first, from one run of the encoder.

    task: whose encoder runs.
    cut: the recording.
    count: its frames.
    windows: in the order of their starts.
    """
    frames = MovingWindow(_sequences(task, cut), "frame")
    step_s, centre_s = task.upstream.stride / task.upstream.sample_rate_hz, first_centre_s(task.upstream)
    for several in _batches(windows):
        spans = [_frames_of(task, window, count) for window in several]
        yield [frames.part(*span) for span in spans], [centre_s + first * step_s for first, _ in spans]


def _sequences(task: SpeakerVerification, cut: Cut) -> Iterator[Tensor]:
    """(t, D) of chunk after chunk."""
    upstream, interface = task.upstream, task.interface
    chunk_s, overlap_s = fitting_chunks(upstream)
    chunks = encode_long(upstream, cut, chunk_s=chunk_s, overlap_s=overlap_s, up_to_layer=interface.up_to_layer)
    for _, features in chunks:
        sequence: Tensor = interface(features)
        if sequence.shape[1] != int(features.lengths[0]):
            raise ConfigError(
                "The interface of this run pools over time, so that there are no frames of windows; take "
                "--context window."
            )
        yield sequence[0].float()


def _frames_of(task: SpeakerVerification, window: Window, count: int) -> tuple[int, int]:
    """First and last + 1 of the frames with their centres in a window, and as many around them as the head needs."""
    step_s, centre_s = task.upstream.stride / task.upstream.sample_rate_hz, first_centre_s(task.upstream)
    first, stop = (math.ceil((edge_s - centre_s) / step_s - _NEARLY) for edge_s in window[:2])
    first = max(min(first, count - task.min_frames), 0)
    return first, min(max(stop, first + task.min_frames), count)


def _of_sound(
    task: SpeakerVerification, recording: Recording, windows: Sequence[Window]
) -> Iterator[tuple[list[Tensor], list[float]]]:
    """As `_of_states`, each window encoded by itself."""
    upstream = task.upstream
    least, sound = upstream.min_samples, MovingWindow(recording.blocks(), "sample")
    while upstream.num_frames(least) < task.min_frames:
        least += upstream.stride
    for several in _batches(windows):
        wavs, starts_s = [], []
        for window in several:
            first, stop = (round(edge_s * upstream.sample_rate_hz) for edge_s in window[:2])
            first = max(min(first, recording.num_samples - least), 0)
            wavs.append(sound.part(first, min(max(stop, first + least), recording.num_samples)))
            starts_s.append(first / upstream.sample_rate_hz + first_centre_s(upstream))
        lengths = torch.tensor([len(wav) for wav in wavs])
        batch = Batch(pad_sequence(wavs, batch_first=True), lengths, ()).to(device_of(upstream))
        sequence, counts = task.sequence(batch)
        yield [row[:count] for row, count in zip(sequence, counts.tolist(), strict=True)], starts_s


def _batches(windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
    yield from (windows[first : first + _BATCH] for first in range(0, len(windows), _BATCH))
