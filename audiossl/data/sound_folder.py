"""Sound that is in memory, in a column of a table, becomes files that rows can name.

The bytes of a file are written as they are. Samples are written so that reading gives exactly them, at their own rate.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from audiossl.core.errors import AudioError, ManifestError
from audiossl.core.files import is_url, open_no_link, unwritable
from audiossl.data.containers import HeldFile
from audiossl.data.folders import SOUND_SUFFIXES, VIDEO_SUFFIXES
from audiossl.data.shard_members import digest_of
from audiossl.data.shard_rows import as_file
from audiossl.data.sound_file import held

_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


class SoundFolder:
    """A folder that takes the sound of rows. A file is named by its content, so that none takes another's place.

    path: of the folder, which is made when it is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def place(self, where: str, value: Any, rate_hz: str = "") -> str:
        """The path of a sound: its own, or that of the file that was written.

        where: the place of the row, for messages.
        value: a path, the bytes of a file, samples (S,), or a mapping that has these as `path`, `bytes` and `array`, as
            `datasets` and transformers have it.
        rate_hz: of samples, where the value does not say it.
        Raises AudioError for what is no sound, ManifestError for what is none of these.
        """
        called = ""
        if isinstance(value, Mapping):
            rate_hz, called = str(value.get("sampling_rate") or rate_hz), str(value.get("path") or "")
            value = next((value[name] for name in ("bytes", "array") if value.get(name) is not None), called)
        if isinstance(value, str | os.PathLike) and os.fspath(value):
            if is_url(os.fspath(value)):
                raise ManifestError(f"{where}: {value} is an address; download it, and give the path or the bytes.")
            return os.fspath(value)
        if value is None or isinstance(value, str | float):
            raise ManifestError(f"{where} has no sound (no path, bytes or samples); fill it in, or drop the row.")
        return (
            self._with_bytes(where, value, called)
            if isinstance(value, bytes)
            else self._with_samples(where, value, rate_hz)
        )

    def has(self, place: str) -> bool:
        """Whether a path is that of a file that was written here."""
        return Path(place).is_relative_to(self.path)

    def _with_bytes(self, where: str, content: bytes, called: str) -> str:
        """The path of a file that is written as it is. called: its own name, where that is known."""
        if not content:
            raise AudioError(f"{where} is empty (0 bytes of sound); leave it out.")
        with held(HeldFile(where, content)) as file:  # an error of one sentence for what is no sound
            suffix = PurePosixPath(called).suffix.lower()
            form = file.form.lower()
        known = (*SOUND_SUFFIXES, *VIDEO_SUFFIXES)
        return self._written(next((each for each in (suffix, f".{form}") if each in known), ".wav"), content)

    def _with_samples(self, where: str, value: Any, rate_hz: str) -> str:
        samples = np.asarray(value)
        if samples.ndim != 1 or samples.dtype not in (np.float16, np.float32, np.float64, np.int16) or not len(samples):
            raise ManifestError(
                f"{where} has {samples.dtype} of shape {samples.shape} for its sound; give samples (S,) as floats in "
                f"[-1, 1] or 16-bit integers, a path, or the bytes of a file."
            )
        if not (rate_hz.isdecimal() and int(rate_hz)):
            raise ManifestError(f"{where} has samples without their rate; add a column sample_rate, in Hz.")
        scale = 1 / 32768 if samples.dtype == np.int16 else 1.0
        frames = (samples.astype(np.float32) * np.float32(scale))[:, None]
        suffix, content = as_file(frames, int(rate_hz), "flac")
        with held(HeldFile(where, content)) as file:
            file.part(0, len(frames))  # an error for NaN, and for what is in another unit
        return self._written(suffix, content)

    def _written(self, suffix: str, content: bytes) -> str:
        digest = digest_of(content)
        path = self.path / digest[:2] / f"{digest[2:]}{suffix}"
        try:
            # What an earlier run has written is kept, unless that was stopped in the middle of it.
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "wb", opener=open_no_link) as file:
                    file.write(content)
        except OSError as error:
            raise unwritable(path, error) from error
        return str(path)


def numbered_name(number: int, called: str) -> str:
    """An id for a row whose sound has no path of its own.

    >>> numbered_name(7, "clips/Vögel 1.wav"), numbered_name(8, "")
    ('00000007-V_gel_1', '00000008')
    """
    stem = _SLUG.sub("_", PurePosixPath(called.replace("\\", "/")).stem)[:60]
    return f"{number:08d}-{stem}" if stem else f"{number:08d}"
