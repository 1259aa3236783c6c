"""What encoders at 8, 16 and 32 kHz tell of calls whose differences lie at 2 to 4, 4 to 8 and 8 to 16 kHz.

    python -m benchmarks.encoder_rates --write

Calls of 0.2 s are made at 32 kHz: a tone that glides within the lower or the upper part of a band (the class), beside a
louder one below 1.5 kHz that says nothing, in noise. Encoders are the spectral baseline `log_mel`, and TERA of random
weights, built at each rate. They are probed frozen, on mean and deviation over time. The bandwidth paper
(arXiv:2407.16417) pre-trained its encoders, which these are not: what is shown is the rate alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probes import best_layers
from audiossl.analysis.probing import probe_upstream
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.metrics.formatting import interval_written, written
from benchmarks.common import parser, publish, table

RATE_HZ = 32000
BANDS_HZ = ((2000, 4000), (4000, 8000), (8000, 16000))
RATES_HZ = (8000, 16000, 32000)
ENCODERS = {"log_mel": {}, "tera": {"weights": "random", "num_layers": 2}}


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


def figure(name: str, rate_hz: int, data: Path, out: Path) -> str:
    """UAR on test of a linear probe of the layer that dev chose, with its interval."""
    options = {**ENCODERS[name], "sample_rate_hz": rate_hz}
    found = probe_upstream(name, data, out, ProbeOptions(probes="linear"), options)
    best = best_layers(found.results)["linear"].test["uar"]
    return f"{written('uar', best.value)} {interval_written('uar', best)}"


def main() -> None:
    asked = parser(__doc__)
    asked.add_argument("--calls", type=int, default=300)
    arguments = asked.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for low, high in BANDS_HZ:
            data = make_calls(Path(folder) / f"{low}", (low, high), arguments.calls)
            for name in ENCODERS:
                out = Path(folder) / "out"
                rows.append([f"{low // 1000} to {high // 1000} kHz", name])
                rows[-1] += [figure(name, rate_hz, data, out) for rate_hz in RATES_HZ]
    header = ["where calls differ", "encoder", *(f"at {rate // 1000} kHz" for rate in RATES_HZ)]
    note = f"UAR (%) of two classes (chance 50), linear probe, {arguments.calls // 3} test calls,"
    note += " 95 % intervals over calls."
    publish(arguments, "Encoders at three rates", note, table(header, rows))


if __name__ == "__main__":
    main()
