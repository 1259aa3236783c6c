"""Make the quickstart corpus: ten spoken digits by synthetic voices, in a little noise, with voice-disjoint splits.

The speech comes from the espeak-ng synthesiser. Every random choice (pitch, speed, noise, gain, position) is drawn from
a hash of the file's own name, so that a file is the same whatever is made beside it, and a second run gives the same
bytes with the same espeak-ng and libsndfile.

    python recipes/quickstart/make_corpus.py recipes/quickstart/corpus
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLUMNS = [
    "path",
    "duration",
    "sample_rate",
    "speaker",
    "label",
    "transcript",
    "language",
    "split",
    "source",
    "licence",
]

# espeak-ng voices, accent+variant. No variant is in two splits: a test voice is a new vocal tract, not only a new take.
VOICES = {
    "train": (
        "en-us+m1",
        "en-gb+f1",
        "en-gb-scotland+m3",
        "en-029+f5",
        "en-gb-x-rp+f2",
        "en-us+klatt2",
        "en-gb-x-gbclan+m7",
        "en-us-nyc+f4",
        "en-gb-x-gbcwmd+m8",
        "en-gb-x-rp+croak",
    ),
    "dev": ("en-us+m2", "en-gb-scotland+f3", "en-029+Alex"),
    "test": (
        "en-gb+Andrea",
        "en-us+klatt4",
        "en-us-nyc+m6",
        "en-gb-x-gbclan+Linda",
        "en-gb-scotland+david",
        "en-029+Annie",
    ),
}
TAKES = {"train": 3, "dev": 2, "test": 2}
SNR_DB = (20.0, 40.0)  # speech power over noise power, within the word
PEAK = (0.08, 0.6)  # loudest sample of the word; log-uniform
SPEED_WPM = (125, 215)  # words a minute
PITCH = (25, 75)  # espeak-ng's scale, 0 to 99
SILENCE_S = (0.04, 0.30)  # noise before the word, and after it


class Clip(NamedTuple):
    """One recording to make."""

    split: str
    voice: str
    word: str
    take: int

    @property
    def path(self) -> str:
        return f"audio/{self.voice.replace('+', '_')}/{self.word}_{self.take}.ogg"

    def rng(self) -> np.random.Generator:
        digest = hashlib.blake2b(f"{self.voice} {self.word} {self.take}".encode(), digest_size=8).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def clips() -> Iterator[Clip]:
    """All recordings in the order of the manifest."""
    for split, voices in VOICES.items():
        for voice in voices:
            for word in WORDS:
                for take in range(TAKES[split]):
                    yield Clip(split, voice, word, take)


def make_clip(clip: Clip) -> NDArray[np.float32]:
    """The recording (S,) float32 in [-1, 1] at SAMPLE_RATE_HZ: noise, the word somewhere in it, then a gain."""
    rng = clip.rng()
    word = speak(clip.word, clip.voice, int(rng.integers(*SPEED_WPM)), int(rng.integers(*PITCH)))
    before, after = (int(second * SAMPLE_RATE_HZ) for second in rng.uniform(*SILENCE_S, size=2))
    padded = np.pad(word, (before, after))
    snr_db = rng.uniform(*SNR_DB)
    noise = coloured_noise(rng, padded.size, slope_db=rng.uniform(0.0, 6.0))
    noise *= np.sqrt(np.mean(word**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mixed = padded + noise
    peak = np.exp(rng.uniform(*np.log(PEAK)))
    return np.asarray(mixed * (peak / np.abs(mixed).max()), dtype=np.float32)


def speak(word: str, voice: str, speed_wpm: int, pitch: int) -> NDArray[np.float32]:
    """The word (S,) as espeak-ng says it, at SAMPLE_RATE_HZ, cut to where it sounds (-40 dB of its peak)."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed_wpm), "-p", str(pitch), "--stdout", word]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise SystemExit(f"`{' '.join(command)}` failed: {done.stderr.decode().strip() or 'no sound'}")
    sound, rate_hz = sf.read(io.BytesIO(done.stdout), dtype="float32")
    sound = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    if loud.size == 0:
        raise SystemExit(f"`{' '.join(command)}` gave silence.")
    return np.asarray(sound[loud[0] : loud[-1] + 1], dtype=np.float32)


def coloured_noise(rng: np.random.Generator, size: int, slope_db: float) -> NDArray[np.float64]:
    """Gaussian noise (size,) whose power falls by `slope_db` an octave above 50 Hz: 0 white, 3 pink, 6 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), 50.0)
    gain = (frequency / 50.0) ** (-slope_db / (20 * np.log10(2)))
    return np.asarray(np.fft.irfft(spectrum * gain, size))


def encode(sound: NDArray[np.float32], serial: int) -> bytes:
    """Ogg Opus with a given stream number; libsndfile would draw that number from the clock."""
    buffer = io.BytesIO()
    sf.write(buffer, sound, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS")
    return with_serial(buffer.getvalue(), serial)


def with_serial(ogg: bytes, serial: int) -> bytes:
    """The Ogg file with the stream number of every page replaced, and the page checksums made right (RFC 3533, 6)."""
    made, start = bytearray(ogg), 0
    while start < len(made):
        if made[start : start + 4] != b"OggS":
            raise ValueError(f"No Ogg page at byte {start}.")
        body = start + 27 + made[start + 26]
        end = body + sum(made[start + 27 : body])
        made[start + 14 : start + 18] = serial.to_bytes(4, "little")
        made[start + 22 : start + 26] = bytes(4)
        made[start + 22 : start + 26] = ogg_checksum(made[start:end]).to_bytes(4, "little")
        start = end
    return bytes(made)


def ogg_checksum(page: bytes | bytearray) -> int:
    """CRC-32 with polynomial 0x04c11db7, most significant bit first, no inversion: not the one in zlib."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC_TABLE[value >> 24 ^ byte]
    return value


def _crc_row(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = value << 1 ^ (0x104C11DB7 if value & 0x80000000 else 0)
    return value


_CRC_TABLE = [_crc_row(byte) for byte in range(256)]


def make_corpus(folder: Path) -> list[dict[str, str]]:
    """Write every recording and manifest.csv into `folder`; returns the manifest's rows."""
    shutil.rmtree(folder / "audio", ignore_errors=True)
    rows = []
    for number, clip in enumerate(clips()):
        path = folder / clip.path
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = make_clip(clip)
        path.write_bytes(encode(sound, serial=number))
        rows.append(manifest_row(clip, sound.size / SAMPLE_RATE_HZ))
    with open(folder / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def manifest_row(clip: Clip, duration_s: float) -> dict[str, str]:
    return {
        "path": clip.path,
        "duration": f"{duration_s:.4f}",
        "sample_rate": str(SAMPLE_RATE_HZ),
        "speaker": clip.voice,
        "label": str(WORDS.index(clip.word)),
        "transcript": clip.word,
        "language": "en",
        "split": clip.split,
        "source": "synthetic:espeak-ng",
        "licence": "Apache-2.0",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).resolve().parent / "corpus"
    parser.add_argument("folder", type=Path, nargs="?", default=default, help="where to write (default: %(default)s)")
    folder = parser.parse_args().folder
    if shutil.which("espeak-ng") is None:
        sys.exit("espeak-ng is not installed; get it with `apt install espeak-ng` or `brew install espeak-ng`.")
    rows = make_corpus(folder)
    total_s = sum(float(row["duration"]) for row in rows)
    size = sum(path.stat().st_size for path in (folder / "audio").rglob("*.ogg"))
    print(f"{len(rows)} recordings, {total_s / 60:.1f} minutes, {size / 1e6:.2f} MB in {folder}")


if __name__ == "__main__":
    main()
