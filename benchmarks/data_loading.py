"""How fast recordings become padded batches at 16 kHz, against a plain loop over librosa.load.

Two corpora of FLAC files: one at 8 kHz, which has to be resampled, and one at 16 kHz. Both contestants resample with
soxr at its high quality; the plain loop pads batches of the same size and has no buckets, no checks and no rows.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import torch

from audiossl.data.config import LoaderConfig
from audiossl.data.loader import make_loader
from audiossl.data.sources import cuts_from_csv, cuts_from_files
from audiossl.data.stream import StreamPlan
from benchmarks.common import interleaved, make_sound, parser, publish, table

if TYPE_CHECKING:
    from lhotse import CutSet

BATCH_SIZE = 32
NUM_FILES = 400
RATE_HZ = 16000
CORPORA = {8000: "fsdd", 16000: "wakewords"}


def main() -> None:
    arguments = parser(__doc__).parse_args()
    warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores is what is measured
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for rate_hz in CORPORA:
            name, cuts = _corpus(arguments.data, rate_hz, Path(scratch))
            rows += _measured(f"{rate_hz // 1000} kHz, {name}", cuts, arguments.rounds)
    header = [
        "sound",
        "reader",
        "median s",
        "audio s / s",
        "files / s",
        "speed against the plain loop",
        "CPU s",
        "the same by CPU s",
    ]
    text = (
        f"One pass over {NUM_FILES} FLAC files in batches of {BATCH_SIZE}, read to float32 at 16 kHz and padded, "
        f"{arguments.rounds} passes of each reader, taking turns; files are in the page cache. Workers are started "
        "anew in each pass, as at the start of an evaluation."
    )
    publish(arguments, "Data loading", text, table(header, rows))


def _corpus(data: Path | None, rate_hz: int, scratch: Path) -> tuple[str, CutSet]:
    if data is not None:
        name = CORPORA[rate_hz]
        splits = cuts_from_csv(data / name / "manifest.csv")
        return name, splits["train"].subset(first=NUM_FILES).to_eager()
    paths = make_sound(scratch / str(rate_hz), NUM_FILES, rate_hz)
    return "synthetic", cuts_from_files(paths, [path.stem for path in paths])


def _measured(what: str, cuts: CutSet, rounds: int) -> list[list[str]]:
    paths = [cut.recording.sources[0].source for cut in cuts]
    contestants: dict[str, Callable[[], object]] = {"plain loop, librosa.load": lambda: _plain(paths)}
    for workers in (0, 1, 2):
        contestants[f"make_loader, {workers} workers"] = _loader(cuts, workers)
    timings = interleaved(contestants, rounds)
    audio_s = sum(cut.duration for cut in cuts)
    plain, plain_cpu = timings["plain loop, librosa.load"].median, timings["plain loop, librosa.load"].cpu
    rows = []
    for name, timing in timings.items():
        speeds = [f"{audio_s / timing.median:.0f}", f"{len(paths) / timing.median:.0f}", f"{plain / timing.median:.2f}"]
        rows.append([what, name, f"{timing.median:.2f}", *speeds, f"{timing.cpu:.2f}", f"{plain_cpu / timing.cpu:.2f}"])
    return rows


def _plain(paths: Sequence[str]) -> None:
    for first in range(0, len(paths), BATCH_SIZE):
        batch = paths[first : first + BATCH_SIZE]
        sounds = [torch.from_numpy(librosa.load(path, sr=RATE_HZ, res_type="soxr_hq")[0]) for path in batch]
        torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True)


def _loader(cuts: CutSet, workers: int) -> Callable[[], object]:
    plan = StreamPlan(LoaderConfig(batch_size=BATCH_SIZE, num_workers=workers), sample_rate_hz=RATE_HZ)

    def run() -> None:
        items = sum(len(batch) for batch in make_loader(cuts, plan))
        if items != len(cuts):
            raise RuntimeError(f"{items} of {len(cuts)} recordings were read.")

    return run


if __name__ == "__main__":
    main()
