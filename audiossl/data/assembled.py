"""Rows that lhotse puts together: mixed, perturbed, of several files, or with sound that is in memory already.

lhotse changes the sound, but does not read it. Its own readers hand a file's name to a shell (SPHERE, Opus), believe
any header, and may fetch what they are given. Every file goes through `audiossl.data.sound_file` instead.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile

from audiossl.core.errors import AudioError, AudiosslError, first_line
from audiossl.data.local import check_sources
from audiossl.data.shard_members import PlaceError
from audiossl.data.sound_file import Wave, opened

if TYPE_CHECKING:
    from lhotse.audio.backend import AudioBackend
    from lhotse.cut import Cut


def read_assembled(cut: Cut) -> Wave:
    """(S, channels) of a row at its own rate. Raises AudioError, ManifestError for a source that is no file."""
    from lhotse.audio.backend import get_current_audio_backend, set_current_audio_backend

    check_sources(cut)
    before = get_current_audio_backend()
    set_current_audio_backend(_our_reader())
    try:
        samples = np.atleast_2d(cut.load_audio())  # (channels, samples)
    except Exception as error:  # each kind of change has errors of its own, and lhotse wraps ours
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, AudiosslError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, PlaceError):
            raise cause from error  # nothing is wrong with the row
        reason = str(cause).rstrip(".") if cause is not None else first_line(error)
        raise AudioError(f"The manifest row {cut.id} cannot be read ({reason}).") from error
    finally:
        set_current_audio_backend(before)
    if samples.shape[1] == 0 or not np.isfinite(samples).all():
        raise AudioError(f"The manifest row {cut.id} is empty, or holds NaN or infinity; leave it out.")
    return np.ascontiguousarray(samples.T, dtype=np.float32)


@cache
def _our_reader() -> AudioBackend:
    """What lhotse calls for the sound of a source."""
    from lhotse.audio.backend import AudioBackend

    class OurReader(AudioBackend):
        def read_audio(
            self,
            path_or_fd: Any,
            offset: float = 0.0,
            duration: float | None = None,
            force_opus_sampling_rate: int | None = None,  # libsndfile gives Opus at the rate that its header states
        ) -> tuple[npt.NDArray[np.float32], int]:
            return _read(path_or_fd, offset, duration)

    return OurReader()


def _read(source: Any, start_s: float, duration_s: float | None) -> tuple[npt.NDArray[np.float32], int]:
    """(channels, S) and the rate of a part of a file, or of what is in memory as one, to its end without a duration."""
    if not isinstance(source, str | os.PathLike):
        with soundfile.SoundFile(source) as memory:
            memory.seek(round(start_s * memory.samplerate))
            count = -1 if duration_s is None else round(duration_s * memory.samplerate)
            return memory.read(count, dtype="float32", always_2d=True).T, memory.samplerate
    with opened(source) as file:
        start = round(start_s * file.sample_rate_hz)
        count = file.num_samples - start if duration_s is None else round(duration_s * file.sample_rate_hz)
        return file.part(start, count, lenient=True).T, file.sample_rate_hz
