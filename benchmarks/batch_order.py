"""How mixed batches are, what padding costs, and how quickly rows become batches.

    python -m benchmarks.batch_order [--before CHECKOUT] [--write]

Nothing but rows is read, so that the figures are of the loader alone. With another checkout of audiossl, the same is
measured with its code, and both stand beside each other. Corpora: clips of equal length named by their label, the
utterances of libri_mini, rows that last as LibriSpeech's do, and 100,000 rows in order of their label.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiossl import LoaderConfig, StreamPlan  # where every version has them
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.data.stream import BatchStream
from benchmarks.common import parser, publish, table

RATE_HZ = 16000
CHECKOUT = Path(__file__).parent.parent
# Batch size and field of the manifest by which batches should be mixed.
CORPORA = {"esc10": (32, "label"), "libri_mini": (8, "speaker"), "LibriSpeech-like": (16, "speaker")}
LARGE = "100,000 rows by label"
WHO = {"this": "this checkout", "before": "before"}


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(_measured(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
        return
    options = parser(__doc__)
    options.add_argument("--before", type=Path, help="another checkout to compare with")
    arguments = options.parse_args()
    checkouts = {"before": arguments.before, "this": CHECKOUT} if arguments.before else {"this": CHECKOUT}
    mixed, quick = [], []
    with tempfile.TemporaryDirectory() as scratch:
        manifests = _manifests(arguments.data, Path(scratch))
        for name, path in manifests.items():
            batch_size, field = CORPORA.get(name, (32, "label"))
            for who, checkout in checkouts.items():
                found = _measure(checkout, path, batch_size, field)
                mixed.append([name, str(batch_size), field, WHO[who], *_mixture(found)])
                quick.append([name, WHO[who], *_speed(found)])
    header = ["corpus", "batch", "field", "batches", "padding", "padding without buckets", "distance to the corpus"]
    header += ["of random batches", "together again"]
    times = ["corpus", "batches", "first batch, ms", "median batch, us", "one epoch, ms", "peak memory, MB"]
    publish(arguments, "The order of batches", _explained(), table(header, mixed), _timed(), table(times, quick))


def _explained() -> str:
    return (
        "Figures of three epochs of training. Padding: share of the frames of "
        "padded batches. Distance: total variation between the shares of the field's values in a batch and in the "
        "corpus, the mean over batches; that of random batches is beside it. Together again: of two rows of a batch, "
        "how often they share a batch of the next epoch too, as a multiple of chance."
    )


def _timed() -> str:
    return (
        "The same loaders' CPU time. First batch: from opening the manifest, its checks included. Median batch: of "
        "rows, without reading sound. One epoch: of rows likewise, after the first batch, with the first batch of the "
        "next. Memory: the most that the process held beyond what it had before."
    )


def _mixture(found: dict[str, Any]) -> list[str]:
    shares = [f"{100 * found[name]:.1f} %" for name in ("padding", "padding_without")]
    again = "" if found["again"] is None else f"{found['again']:.1f}"
    return [*shares, f"{found['distance']:.3f}", f"{found['random_distance']:.3f}", again]


def _speed(found: dict[str, Any]) -> list[str]:
    return [
        f"{1e3 * found['first_s']:.0f}",
        f"{1e6 * found['batch_s']:.0f}",
        f"{1e3 * found['epoch_s']:.0f}",
        f"{found['memory_mb']:.0f}",
    ]


def _measure(checkout: Path, manifest: Path, batch_size: int, field: str) -> dict[str, Any]:
    """What `_measured` gives with the code of a checkout."""
    command = [sys.executable, __file__, "measure", str(manifest), str(batch_size), field]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    answer = subprocess.run(command, env=environment, cwd=checkout, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _measured(manifest: Path, batch_size: int, field: str) -> dict[str, Any]:
    before_mb, start = _memory_mb(), time.process_time()
    stream = iter(BatchStream(read_manifest(manifest), _plan(batch_size)))
    first = next(stream)
    first_s = time.process_time() - start
    seconds, mark = [], time.process_time()
    for item in stream:
        seconds.append(time.process_time() - mark)
        if item.position.epoch:
            break
        mark = time.process_time()
    del first, item, stream
    memory_mb = _memory_mb() - before_mb
    figures = {"first_s": first_s, "batch_s": float(np.median(seconds)), "epoch_s": sum(seconds)}
    return {**figures, "memory_mb": memory_mb, **_order_of(manifest, batch_size, field)}


def _order_of(manifest: Path, batch_size: int, field: str) -> dict[str, Any]:
    cuts = read_manifest(manifest)
    epochs = _epochs(cuts, _plan(batch_size), field, 3)
    batches = [batch for epoch in epochs for batch in epoch]
    values = Counter(read_field(cut, field) or "" for cut in cuts)
    every, rng = list(values.elements()), random.Random(0)
    drawn = [rng.sample(every, batch_size) for _ in range(1000)]
    return {
        "padding": _padding(batches),
        "padding_without": _padding(_epochs(cuts, _plan(batch_size, 1), field, 1)[0]),
        "distance": _distance([[row.value for row in batch] for batch in batches], values),
        "random_distance": _distance(drawn, values),
        "again": _together_again(epochs),
    }


class _Row(NamedTuple):
    name: str
    lasts_s: float
    value: str


def _plan(batch_size: int, num_buckets: int = LoaderConfig.num_buckets) -> StreamPlan:
    config = LoaderConfig(batch_size=batch_size, num_buckets=num_buckets)
    return StreamPlan(config, sample_rate_hz=RATE_HZ, train=True)


def _epochs(cuts: CutSet, plan: StreamPlan, field: str, count: int) -> list[list[list[_Row]]]:
    """The batches of the first epochs."""
    epochs: list[list[list[_Row]]] = [[] for _ in range(count)]
    for item in BatchStream(cuts, plan):
        if item.position.epoch == count:
            break
        rows = [_Row(cut.id, cut.duration, read_field(cut, field) or "") for cut in item.cuts]
        epochs[item.position.epoch].append(rows)
    return epochs


def _padding(batches: Sequence[Sequence[_Row]]) -> float:
    padded = sum(len(batch) * max(row.lasts_s for row in batch) for batch in batches)
    return 1 - sum(row.lasts_s for batch in batches for row in batch) / padded


def _distance(batches: Sequence[Sequence[str]], values: Counter[str]) -> float:
    """Total variation between the shares of values in a batch and in all rows, the mean over batches."""
    shares = {value: count / values.total() for value, count in values.items()}
    counts = [Counter(batch) for batch in batches]
    found = [sum(abs(each[value] / each.total() - share) for value, share in shares.items()) / 2 for each in counts]
    return float(np.mean(found))


def _together_again(epochs: Sequence[Sequence[Sequence[_Row]]]) -> float:
    """How often two rows of a batch share one of the next epoch, as a multiple of what chance gives."""
    found = []
    for epoch, following in pairwise(epochs):
        place = {row.name: number for number, batch in enumerate(following) for row in batch}
        sizes = [len(batch) for batch in following]
        chance = sum(size * (size - 1) for size in sizes) / (len(place) * (len(place) - 1))
        counts = [Counter(place[row.name] for row in batch) for batch in epoch]
        again = sum(count * (count - 1) for each in counts for count in each.values())
        found.append(again / sum(len(batch) * (len(batch) - 1) for batch in epoch) / chance)
    return float(np.mean(found))


def _memory_mb() -> float:
    """The most that this process has held so far. (`ru_maxrss` would begin at that of the process which started it.)"""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return float(status.split("VmHWM:")[1].split()[0]) / 1e3


def _manifests(data: Path | None, folder: Path) -> dict[str, Path]:
    """The manifest of each corpus. Those of recordings are left out where there are none."""
    made = {"LibriSpeech-like": _made_up(20000, 0, 921, _reading_s), LARGE: _made_up(100000, 1, 100, _clip_s)}
    if data is not None:
        for name, folder_of_it in {"esc10": "esc10_16k", "libri_mini": "libri_mini"}.items():
            splits = cuts_from_csv(data / folder_of_it / "manifest.csv")
            made[name] = CutSet.from_cuts(cut for cuts in splits.values() for cut in cuts)
    names = [name for name in (*CORPORA, LARGE) if name in made]
    return {name: write_manifests({f"{place}": made[name]}, folder)[f"{place}"] for place, name in enumerate(names)}


def _reading_s(rng: np.random.Generator) -> float:
    """Seconds of an utterance as in LibriSpeech's training rows: most last 11 to 16.5 s, a third is spread below."""
    return float(rng.triangular(11, 15.5, 16.5) if rng.random() < 0.68 else rng.uniform(1.5, 13))


def _clip_s(rng: np.random.Generator) -> float:
    """Seconds of a clip as in Speech Commands: nine in ten last one second."""
    return 1.0 if rng.random() < 0.9 else float(rng.uniform(0.4, 1.0))


def _made_up(num_rows: int, seed: int, num_values: int, lasting: Callable[[np.random.Generator], float]) -> CutSet:
    """Rows without sound in the order of their value, which is both speaker and label."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(num_rows):
        value, num_samples = f"v{number * num_values // num_rows:03d}", round(lasting(rng) * RATE_HZ)
        name = f"{value}/{number:06d}"
        recording = Recording(
            name, [AudioSource("file", [0], f"{name}.flac")], RATE_HZ, num_samples, num_samples / RATE_HZ
        )
        said = SupervisionSegment(name, name, 0, recording.duration, speaker=value, custom={"label": value})
        rows.append(MonoCut(name, 0.0, recording.duration, 0, recording=recording, supervisions=[said]))
    return CutSet.from_cuts(rows)


if __name__ == "__main__":
    main()
