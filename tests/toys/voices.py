"""Voices that are two tones: encoder, rows, batches, tasks, lists and experiments for tests of verification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import MonoCut, SupervisionSegment
from lhotse.testing.dummies import dummy_recording

from audiossl.core.config import make
from audiossl.core.types import Batch
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.training.interface import load_interface
from toys.bands import Bands

RATE = 16000
SPEAKERS = ("ann", "bob", "cem")
SMALL = {
    "projector_width": 8,
    "tdnn": [[8, 5, 1], [12, 3, 2]],
    "embedding_width": 6,
    "ecapa_channels": 16,
    "mfa": {"width": 8, "blocks": 2, "heads": 2, "feed_forward": 12, "kernel_size": 5},
    "rawnet3": {"channels": 16, "frame_width": 12},
    "ska_tdnn": {"bands": 8, "front_channels": 4, "channels": 16, "frame_width": 12},
    "mhfa": {"heads": 3, "width": 4},
    "top_k": 1,
}
Config = SpeakerVerification.Config


def cut_of(number: int, speaker: str | None, duration_s: float = 0.5) -> MonoCut:
    name = f"item-{number}"
    segment = SupervisionSegment(name, name, 0, duration_s, speaker=speaker)
    recording = dummy_recording(number, duration=duration_s)
    return MonoCut(name, start=0, duration=duration_s, channel=0, recording=recording, supervisions=[segment])


def voice(speaker: int, seed: int, duration_s: float) -> np.ndarray:
    """Two tones that are the speaker's, with a level and a noise that are the recording's."""
    rng = np.random.default_rng([speaker, seed])
    own = np.random.default_rng(speaker)
    time_s = np.arange(int(duration_s * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6)) for hz in own.uniform(200, 6000, 2))
    sound = rng.uniform(0.05, 0.2) * tones + 0.003 * rng.standard_normal(len(time_s))
    return np.asarray(sound, dtype=np.float32)


def batch_of(num_items: int = 6, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    sounds = [torch.from_numpy(voice(row % 3, 100 * seed + row, rng.uniform(0.3, 0.6))) for row in range(num_items)]
    lengths = torch.tensor([len(sound) for sound in sounds])
    cuts = tuple(cut_of(row, SPEAKERS[row % 3], len(sound) / RATE) for row, sound in enumerate(sounds))
    return Batch(torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True), lengths, cuts)


def toy_task(**options: Any) -> SpeakerVerification:
    torch.manual_seed(0)
    upstream = Bands()
    interface = load_interface("parallel_sums" if options.get("head") == "mhfa" else "last", upstream.widths)
    task = make(SpeakerVerification, {"speakers": list(SPEAKERS), **SMALL, **options}, upstream, interface)
    assert isinstance(task, SpeakerVerification)
    return task


HEADS: list[dict[str, Any]] = [
    *({"head": "pooled", "pooling": name} for name in ("mean", "statistics", "attentive_statistics")),
    {"head": "xvector", "pooling": "statistics", "segment_layers": 2},
    {"head": "xvector", "pooling": "attentive_statistics", "norm": True},
    *({"head": name} for name in ("ecapa", "mfa", "rawnet3", "ska_tdnn", "mhfa")),
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def written(folder: Path, text: str, name: str = "trials.txt") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def settings(corpus: Path, *more: str) -> Experiment:
    config = read_experiment(
        None,
        [
            "downstream=speaker_verification",
            "upstream=log_mel",
            f"data.dir={corpus}",
            f"task.trials.test={corpus / 'trials.txt'}",
            "task.head=pooled",
            "task.pooling=statistics",
            "task.projector_width=16",
            "task.embedding_width=16",
            "data.max_crop_s=0.3",
            "data.balance=speaker",
            "data.batch_size=8",
            "trainer.steps=60",
            "trainer.eval_every=30",
            "trainer.lr=0.01",
            *more,
        ],
    )
    assert isinstance(config, Experiment)
    return config
