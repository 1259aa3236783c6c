"""Small TERAs with random weights, and what s3prl would have saved of one."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from audiossl import load_upstream
from audiossl.experiments.config import PretrainExperiment, read_experiment
from audiossl.upstreams.tera.convert import to_original
from toys.core import TINY_TERA

TERA_SIZES = [f"upstream_options.{name}={value}" for name, value in TINY_TERA.items()]
TERA = ["upstream=tera", "upstream_options.weights=random", *TERA_SIZES]


def tiny(name: str = "tera", **options: Any) -> Any:
    return load_upstream(name, weights="random", **{**TINY_TERA, **options})


def original(shared: bool = False) -> dict[str, Any]:
    """What s3prl would have saved for a tiny TERA."""
    model = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": "1.0e-12",
        "share_layer": shared,
    }
    audio = {"input": {"feat_type": "mel", "log": True, "delta": 0, "cmvn": True}, "n_mels": 80, "target_level": -25}
    state = to_original(tiny("audio_albert" if shared else "tera").state_dict(), num_layers=2)
    return {
        "Transformer": state,
        "SpecHead": {"dense.weight": torch.zeros(2, 2)},
        "Upstream_Config": {"transformer": model, "audio": audio},
        "Settings": Namespace(anything="at all"),
        "Step": 3,
    }


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def speech_like(num_frames: int, seed: int = 0) -> torch.Tensor:
    return 1 + torch.rand(num_frames, 80, generator=draw(seed))  # nothing is zero


def short_pretraining(corpus: Path, *overrides: str) -> PretrainExperiment:
    """Twelve steps on the toy corpus. corpus: the folder of its manifests. overrides: as on the command line."""
    trainer = ["steps=12", "log_every=1", "eval_every=100", "save_every=100", "batches_per_step=2", "warmup_steps=4"]
    made: PretrainExperiment = read_experiment(
        None,
        [
            f"data.dir={corpus}",
            "data.batch_size=4",
            *TERA_SIZES,
            *(f"trainer.{setting}" for setting in trainer),
            "trainer.schedule=linear",
            *overrides,
        ],
        pretrain=True,
    )
    return made
