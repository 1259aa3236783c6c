"""An hour of sound with thirteen layers of 768 through extraction, training and evaluation, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from toys.core import ROOT

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np
import soundfile
import torch
from toys.core import ToyConfig, ToyUpstream
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from audiossl import load_run
from audiossl.data.manifests import write_manifests
from audiossl.core.registry import UPSTREAMS
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train

class Wide(ToyUpstream):
    def __init__(self, config):
        super().__init__(ToyConfig(width=768, num_layers=13))
        self.stride = self.receptive_field = 320

    def encode(self, wavs, lengths, last):
        frames = wavs[:, : wavs.shape[1] // 320 * 320].unflatten(1, (-1, 320))
        x = frames.repeat(1, 1, 3)[..., :768]
        return [x + 0.01 * layer for layer in range(last + 1)]

UPSTREAMS.register("wide")(Wide)
folder = Path({folder!r})
rng = np.random.default_rng(0)
sound = (0.1 * rng.standard_normal(3600 * 16000)).astype(np.float32)
soundfile.write(folder / "hour.wav", sound, 16000)
del sound
recording = Recording.from_file(folder / "hour.wav")
cuts = []
for number in range(300):
    label = SupervisionSegment("s", recording.id, 0, 12.0, custom=dict(label=str(number % 3)))
    cuts.append(MonoCut(f"row{{number}}", 12.0 * number, 12.0, 0, recording=recording, supervisions=[label]))
write_manifests(dict(train=CutSet.from_cuts(cuts), dev=CutSet.from_cuts(cuts[:30])), folder)
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
settings = ["upstream=wide", "upstream_options.weights=random"]
settings += ["task.pooling=max", "features=frames", "data.batch_size=8", "trainer.steps=76"]
settings += [f"data.dir={{folder}}", f"cache.dir={{folder / 'kept'}}", "cache.max_gb=5", "trainer.device=cpu"]
train(read_experiment(None, settings), folder / "run")
load_run(folder / "run", device="cpu").evaluate("dev")
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024)
print(sum(path.stat().st_size for path in (folder / "kept").rglob("*.shard")) / 1e9)
"""


@pytest.mark.slow
@pytest.mark.long
def test_an_hour_of_thirteen_layers_in_two_gigabytes(tmp_path: Path) -> None:
    code = CHILD.format(folder=str(tmp_path), tests=str(ROOT / "tests"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    peak_mib, size_gb = map(float, done.stdout.split()[-2:])
    assert 3.5 < size_gb < 3.7
    assert peak_mib < 2000
