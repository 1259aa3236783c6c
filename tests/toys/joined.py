"""Sound files whose headers do not say how much sound there is, made of files that do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiossl.data import containers

RATE_HZ = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """(S,) float32."""
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def bare_mp3(path: Path, samples: np.ndarray, level: float) -> bytes:
    """The frames of an MP3 of one bit rate, without the table in front of them."""
    soundfile.write(path, samples, RATE_HZ, format="MP3", bitrate_mode="CONSTANT", compression_level=level)
    content = path.read_bytes()
    frame = containers._frame_of(content[:4])
    assert frame is not None
    has_table = content[frame.table_at : frame.table_at + 4] in (b"Info", b"Xing")
    path.write_bytes(content[frame.size :] if has_table else content)
    return path.read_bytes()


def variable_mp3(path: Path, *, rising: bool, seconds: float = 3.0) -> int:
    """Write an MP3 of two bit rates without a table. Returns its length in samples: 576 for each frame, without the 529
    with which every decoder begins."""
    parts = [bare_mp3(path, noise(seconds, seed), level) for seed, level in enumerate((0.8, 0.0))]
    sizes = [containers._frame_of(part[:4]).size for part in parts]  # type: ignore[union-attr]
    path.write_bytes(b"".join(parts if rising else parts[::-1]))
    return 576 * sum(len(part) // size for part, size in zip(parts, sizes, strict=True)) - 529


def repeated(path: Path, samples: np.ndarray, times: int = 2, **how: str) -> Path:
    """The same sound file several times, one after the other, as `cat` joins them."""
    soundfile.write(path, samples, RATE_HZ, **how)
    path.write_bytes(path.read_bytes() * times)
    return path


def without_size(path: Path, samples: np.ndarray, size: int = 0) -> Path:
    """A 16-bit WAV whose header says that it holds `size` bytes of sound."""
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    return path
