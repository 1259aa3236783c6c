"""Clustering diarisation of an hour: error rate, seconds and peak memory of `audiossl diarize`.

Conversations of test speakers of libri_mini, whom no run has heard, are simulated with stated overlaps. Their
recordings are few, so that parts of them come again. Each run of speaker verification is given each conversation, in a
process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from audiossl.data.reading import path_of
from audiossl.data.simulation import SimulationConfig, simulate
from audiossl.data.sources import cuts_from_csv
from audiossl.data.turns import Turn, read_rttm, turns_of
from audiossl.metrics.diarization import DiarizationErrors, Scoring, diarization_errors
from benchmarks.common import parser, publish, table

COLLARS_S = (0.0, 0.25)


class Outcome(NamedTuple):
    turns: list[Turn]
    seconds: float
    cpu_seconds: float
    peak_mb: float


def diarized(run: str, sound: Path, out: Path, options: Sequence[str] = ()) -> Outcome:
    """What `audiossl diarize` finds, with the time and memory of its process, which include its start."""
    command = [sys.executable, "-m", "audiossl", "diarize", run, str(sound), "--out", str(out), "--overwrite", *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed.")
    cpu = usage.ru_utime + usage.ru_stime
    (turns,) = read_rttm(out).values()
    return Outcome(turns, time.perf_counter() - start, cpu, usage.ru_maxrss / 1024)


def row_of(name: str, overlap: float, outcome: Outcome, errors: Sequence[DiarizationErrors]) -> list[str]:
    """A line of the table.

    name: of the run.
    overlap: that was asked for.
    outcome: of the process.
    errors: with each collar.
    """
    parts = [f"{100 * value / errors[0].spoken_s:.1f}" for value in errors[0][1:4]]
    rates = [f"{100 * each.rate:.1f}" for each in errors]
    costs = [f"{outcome.seconds:.0f}", f"{outcome.cpu_seconds:.0f}", f"{outcome.peak_mb:.0f}"]
    found = f"{errors[0].num_found} of {errors[0].num_speakers}"
    return [name, f"{100 * overlap:.0f}", *rates, *parts, found, *costs]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--run", action="append", required=True, metavar="NAME=FOLDER", help="of speaker_verification")
    made.add_argument("--overlap", type=float, nargs="+", default=[0.0, 0.2, 0.4])
    made.add_argument("--speakers", type=int, default=6)
    made.add_argument("--minutes", type=float, default=60)
    made.add_argument("--options", default="", help="more words for `audiossl diarize`")
    arguments = made.parse_args()
    if arguments.data is None:
        made.error("--data or AUDIOSSL_DATA must name the folder with libri_mini")
    test = {"test": cuts_from_csv(arguments.data / "libri_mini" / "manifest.csv")["test"]}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for overlap in arguments.overlap:
            place = Path(folder) / f"overlap {overlap:g}"
            config = SimulationConfig(1, arguments.speakers, overlap, 60 * arguments.minutes)
            (cut,) = simulate(test, place, config)["test"]
            for pair in arguments.run:
                name, _, run = pair.partition("=")
                outcome = diarized(run, Path(str(path_of(cut))), place / "found.rttm", arguments.options.split())
                scored = [
                    diarization_errors(turns_of(cut), outcome.turns, scoring=Scoring(collar)) for collar in COLLARS_S
                ]
                rows.append(row_of(name, overlap, outcome, scored))
                print(rows[-1], flush=True)
    header = ["run", "overlap (%)", *(f"DER, collar {each:g} s" for each in COLLARS_S)]
    header += ["missed", "false alarm", "confusion", "speakers found", "seconds", "CPU s", "peak MB"]
    publish(
        arguments,
        f"Clustering diarisation of {arguments.minutes:g} minutes",
        table(header, rows),
        "Rates are in % of the time of speakers, with overlap scored, of which one of two speakers is always missed. "
        "Missed, false alarm and confusion are without a collar. Seconds and memory are of the whole process.",
    )


if __name__ == "__main__":
    main()
