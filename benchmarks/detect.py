"""Detection in long recordings: seconds and peak memory of `audiossl detect`, by the length of the recording.

The first minutes of a recording of hours are written to files of their own, and each is given to a process of its own,
which starts, loads the run, reads, resamples where it must, and writes a table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import soundfile

from audiossl.data.annotations import read_annotations
from audiossl.data.reading import audio_facts
from benchmarks.common import parser, publish, table

_BLOCK_S = 60


class Outcome(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_mb: float
    num_events: int


def detected(run: str, sound: Path, out: Path) -> Outcome:
    """Time and memory of a process, with its start. run: its folder. sound: the recording. out: the table."""
    command = [sys.executable, "-m", "audiossl", "detect", run, str(sound), "--out", str(out), "--device", "cpu"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed.")
    cpu = usage.ru_utime + usage.ru_stime
    return Outcome(time.perf_counter() - start, cpu, usage.ru_maxrss / 1024, len(read_annotations(out)))


def shortened(sound: Path, minutes: float, to: Path) -> Path:
    """The first minutes of a recording, as FLAC."""
    rate = audio_facts(sound).sample_rate_hz
    left = round(60 * minutes * rate)
    with soundfile.SoundFile(sound) as source, soundfile.SoundFile(to, "w", rate, 1, "PCM_16", format="FLAC") as file:
        while left > 0:
            block = source.read(min(left, _BLOCK_S * rate), dtype="float32", always_2d=True).mean(axis=1)
            if not len(block):
                break
            file.write(block)
            left -= len(block)
    return to


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--run", action="append", required=True, metavar="NAME=FOLDER", help="of bioacoustic_events")
    made.add_argument("--sound", type=Path, required=True, help="a recording of hours")
    made.add_argument("--minutes", type=float, nargs="+", default=[2, 30, 120])
    arguments = made.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            sound = shortened(arguments.sound, minutes, Path(folder) / f"{minutes:g}.flac")
            facts = audio_facts(sound)
            lasts_s = facts.num_samples / facts.sample_rate_hz
            for pair in arguments.run:
                name, _, run = pair.partition("=")
                found = detected(run, sound, Path(folder) / f"{name}-{minutes:g}.txt")
                times = [f"{found.seconds:.0f}", f"{found.cpu_seconds:.1f}", f"{lasts_s / found.cpu_seconds:.0f}"]
                rows.append([name, f"{lasts_s / 60:.0f}", *times, f"{found.peak_mb:.0f}", str(found.num_events)])
                print(rows[-1], flush=True)
    header = ["run", "minutes", "seconds", "CPU s", "seconds of sound in a CPU second", "peak MB", "events"]
    publish(
        arguments,
        "Detection in long recordings",
        table(header, rows),
        "Each line is a process with its start, which takes most of the time of a short recording. CPU seconds hardly "
        "depend on what else runs on the machine, seconds do. The run is one of recipes/finch_nights, on its test.",
    )


if __name__ == "__main__":
    main()
