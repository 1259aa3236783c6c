"""What encoders at 8, 16 and 32 kHz tell of calls whose differences lie at 2 to 4, 4 to 8 and 8 to 16 kHz.

    python -m benchmarks.encoder_rates --write              # log_mel, and TERA of random weights
    python -m benchmarks.encoder_rates --pool finch=RUN,RUN,RUN --pool speech=RUN,RUN --finches data/finches --write

Calls of 0.2 s are made at 32 kHz: a tone that glides within the lower or the upper part of a band (the class), beside a
louder one below 1.5 kHz that says nothing, in noise. Encoders are the spectral baseline `log_mel`, and those of a
pool, runs of recipes/pretrain/rates.yaml at any rates, beside the same encoders with random weights, as the bandwidth
paper (arXiv:2407.16417) pre-trained its own at three bandwidths. All are probed frozen, on mean and deviation over
time. `--finches` probes them too on who sings a syllable, and on its type from five examples of each (recipes/finches).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from audiossl import load_upstream
from audiossl.analysis.functionals import Functionals, functionals_of
from audiossl.analysis.probes import best_layers, run_probes
from audiossl.core.types import Metric
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.classification import classification_estimates, classified_clusters
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.formatting import interval_written, written
from audiossl.metrics.jackknife import Difference, Estimate, difference_of, metric_of
from benchmarks.common import parser, publish, table

RATE_HZ = 32000
BANDS_HZ = ((2000, 4000), (4000, 8000), (8000, 16000))
RANDOM_TERA = {"weights": "random", "num_layers": 2}


class Encoder(NamedTuple):
    """name: as the page has it. pool: '' for none. upstream, options: as `load_upstream` takes them."""

    name: str
    pool: str
    upstream: str
    options: dict[str, Any]

    def load(self) -> Upstream:
        return load_upstream(self.upstream, **self.options).eval()


class Probe(NamedTuple):
    """What a probe gave on test. figure: UAR. estimate, clusters: what it is made of."""

    figure: Metric
    estimate: Estimate
    clusters: Clusters


def call(band_hz: tuple[int, int], upper: bool, seed: int) -> np.ndarray:
    """A call whose class is in which part of the band it glides."""
    draw = np.random.default_rng(seed)
    low, high = band_hz
    width = (high - low) / 5
    first = low + (3.2 if upper else 0.8) * width + draw.uniform(-0.3, 0.3) * width
    times = np.arange(round(0.2 * RATE_HZ)) / RATE_HZ
    glide = first + draw.uniform(-0.5, 0.5) * width * times / times[-1]
    sound = 0.1 * np.sin(2 * np.pi * np.cumsum(glide) / RATE_HZ + draw.uniform(0, 6))
    sound += 0.3 * np.sin(2 * np.pi * draw.uniform(300, 1500) * times + draw.uniform(0, 6))
    return np.asarray((sound + 0.02 * draw.standard_normal(len(times))) * draw.uniform(0.3, 1.0))


def make_calls(folder: Path, band_hz: tuple[int, int], num_calls: int) -> Path:
    """Manifests of calls, half of them of each class, in equal parts train, dev and test."""
    folder.mkdir(parents=True)
    lines = ["path,label,split"]
    for number in range(num_calls):
        upper = bool(number % 2)
        soundfile.write(folder / f"{number}.wav", call(band_hz, upper, number), RATE_HZ)
        lines.append(f"{number}.wav,{'upper' if upper else 'lower'},{('train', 'dev', 'test')[number // 2 % 3]}")
    (folder / "calls.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_manifests(cuts_from_csv(folder / "calls.csv"), folder)
    return folder


def encoders_of(pools: Mapping[str, Sequence[str]]) -> dict[int, list[Encoder]]:
    """The encoders at each rate. pools: the runs of each."""
    found: dict[int, list[Encoder]] = {}
    for rate_hz in (8000, 16000, 32000):
        found[rate_hz] = [Encoder("log_mel", "", "log_mel", {"sample_rate_hz": rate_hz})]
        if not pools:
            found[rate_hz].append(Encoder("tera, random", "", "tera", {**RANDOM_TERA, "sample_rate_hz": rate_hz}))
    for pool, runs in pools.items():
        for run in runs:
            here = found.setdefault(load_upstream(run).sample_rate_hz, [])
            here.append(Encoder(f"{pool}, pre-trained", pool, run, {}))
            here.append(Encoder(f"{pool}, random", pool, run, {"weights": "random"}))
    return found


def encoded(encoder: Encoder, data: Path, field: str = "label") -> dict[str, Functionals]:
    upstream = encoder.load()
    layers = range(upstream.num_layers)
    return {
        split: functionals_of(upstream, read_manifest(data / f"{split}.jsonl.gz"), layers, field=field)
        for split in ("train", "dev", "test")
    }


def probed(splits: dict[str, Functionals]) -> Probe:
    """UAR of a linear probe on the layer that dev chose."""
    best = best_layers(run_probes(splits, ["linear"]))["linear"]
    assert best.linear is not None
    test = splits["test"]
    vectors = best.linear.scaling.scaled(test.layers[best.layer])
    guess = (vectors @ best.linear.weight.T + best.linear.bias).argmax(axis=1)
    clusters = classified_clusters(test.labels, test.clusters)
    estimate = classification_estimates(test.labels, [best.linear.labels[place] for place in guess], clusters)["uar"]
    return Probe(metric_of(estimate, clusters), estimate, clusters)


def cell(figure: Metric) -> str:
    return f"{written('uar', figure.value)} {interval_written('uar', figure)}"


def gap(first: Probe, second: Probe) -> str:
    """First less second in points of a hundred."""
    found: Difference = difference_of(first.estimate, second.estimate, first.clusters)
    if found.low is None or found.high is None:
        return f"{100 * found.value:+.1f} ({found.remark})"
    return f"{100 * found.value:+.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def section(title: str, data: Path, encoders: Mapping[int, Sequence[Encoder]], field: str = "label") -> list[str]:
    """A table of an evaluation: rows are encoders, columns their rates, and the paired gains of pre-training."""
    found = {
        (each.name, rate_hz): probed(encoded(each, data, field)) for rate_hz, row in encoders.items() for each in row
    }
    print(title, {f"{name} {rate}": round(probe.figure.value, 3) for (name, rate), probe in found.items()}, flush=True)
    rates, names = sorted(encoders), list(dict.fromkeys(name for name, _ in found))
    rows = [
        [name, *(cell(found[name, rate].figure) if (name, rate) in found else "" for rate in rates)] for name in names
    ]
    for pool in dict.fromkeys(each.pool for row in encoders.values() for each in row if each.pool):
        for other in (f"{pool}, random", "log_mel"):
            gaps = [
                gap(found[f"{pool}, pre-trained", rate], found[other, rate])
                if (f"{pool}, pre-trained", rate) in found
                else ""
                for rate in rates
            ]
            rows.append([f"*{pool}, pre-trained less {other.removeprefix(pool + ', ')}*", *gaps])
    return [f"## {title}", "", table(["encoder", *(f"at {rate // 1000} kHz" for rate in rates)], rows), ""]


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--calls", type=int, default=300)
    asked.add_argument("--pool", action="append", default=[], help="NAME=RUN,RUN,...: encoders of a pool")
    asked.add_argument("--finches", type=Path, help="what recipes/finches/prepare.py wrote")
    arguments = asked.parse_args()
    pools = {name: runs.split(",") for name, _, runs in (each.partition("=") for each in arguments.pool)}
    encoders = encoders_of(pools)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for low, high in BANDS_HZ:
            data = make_calls(Path(folder) / f"{low}", (low, high), arguments.calls)
            lines += section(f"Made-up calls that differ at {low // 1000} to {high // 1000} kHz", data, encoders)
    if arguments.finches:
        lines += section("Who sings a syllable", arguments.finches / "singers", encoders, "speaker")
        lines += section("Which syllable, five training examples of each", few(arguments.finches), encoders)
    note = f"UAR (%), linear probe; {arguments.calls // 3} test calls, two made-up classes (chance 50). 95 % intervals"
    note += " over calls, and of finches over source recordings; differences are paired, in points."
    publish(arguments, "Encoders at three rates", note, "\n".join(lines))


def few(prepared: Path) -> Path:
    """Manifests of the syllables whose training has five of each."""
    out = Path(tempfile.mkdtemp())
    for split, name in (("train", "train_few"), ("dev", "dev"), ("test", "test")):
        (out / f"{split}.jsonl.gz").write_bytes((prepared / "syllables" / f"{name}.jsonl.gz").read_bytes())
    return out


if __name__ == "__main__":
    main()
