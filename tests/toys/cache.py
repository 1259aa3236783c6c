"""Hidden states to keep, an encoder that makes them, and a cache to keep them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lhotse import CutSet

from audiossl.core.tensors import fingerprint
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.source import FeatureSource
from toys.core import ToyConfig, ToyUpstream

WIDTHS = (24, 40)


def states(number: int, frames: int = 9) -> list[torch.Tensor]:
    made = torch.Generator().manual_seed(number)
    return [torch.randn(frames, width, generator=made) for width in WIDTHS]


def encoder(seed: int = 0) -> ToyUpstream:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        upstream = ToyUpstream(ToyConfig()).eval()
    upstream.name = "toy"
    return upstream


def source_in(root: Path, **settings: Any) -> FeatureSource:
    upstream = settings.pop("upstream", None) or encoder()
    cache = CacheConfig(dir=str(root), dtype=settings.pop("dtype", "fp32"), batch_s=settings.pop("batch_s", None))
    form = settings.pop("form", "frames")
    options = {"layers": (0, 1, 2), **settings}
    return open_source(upstream, fingerprint(upstream), cache, form, **options)


def assert_fresh(source: FeatureSource, cuts: CutSet) -> None:
    """What a source gives is what the encoder gives for the files as they are now."""
    batch = source.batch(list(cuts))
    assert batch.features is not None
    for number, cut in enumerate(cuts):
        sound = torch.from_numpy(cut.load_audio())
        expected = source.upstream(sound).item(0)
        for found, layer in zip(batch.features.item(number), expected, strict=True):
            torch.testing.assert_close(found, layer, rtol=1e-5, atol=1e-5)


def rewritten(path: Path) -> None:
    """Other samples, as many as before."""
    old, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, np.roll(old[::-1], 7), rate)


def path_of(cut: Any) -> Path:
    return Path(cut.recording.sources[0].source)
