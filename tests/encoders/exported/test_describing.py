"""A file says how its frames lie, where that can be said."""

from __future__ import annotations

import json

from audiossl import load_upstream
from audiossl.encoders.engines.export import shortest_input
from audiossl.encoders.exported.config import ExportedConfig
from audiossl.encoders.exported.describing import metadata_of


def test_frames_of_every_kind_are_described() -> None:
    tiny = {"width": 16, "num_layers": 1, "num_heads": 2, "ffn_width": 32}
    for name in ("tera", "mel_transformer", "log_mel"):
        upstream = load_upstream(name, **({"weights": "random", **tiny} if name != "log_mel" else {}))
        shortest = shortest_input(upstream)
        said = json.loads(metadata_of(upstream, ["a"], shortest, {"labels": ["x"]})["audiossl"])
        assert (said["name"], said["labels"]) == (name, ["x"])
        config = ExportedConfig(**said["encoder"])
        assert config.stride is not None and config.receptive_field is not None
        for samples in (shortest, shortest + 1, 4321, 160_000):
            frames = (samples + config.margin - config.receptive_field) // config.stride + 1
            assert frames == upstream.num_frames(samples)
