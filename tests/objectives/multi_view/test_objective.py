"""The loss of three views is that of a hand computation, and training lets views of a recording find each other."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from audiossl import load_upstream
from audiossl.experiments.config import read_experiment
from audiossl.experiments.training import pretrain
from audiossl.nn.contrast import pairwise_losses
from audiossl.training.log import read_log
from audiossl.upstreams.multi_view.model import MultiView


def test_three_views_by_hand() -> None:
    """Two recordings on the axes, in views that agree, are swapped, and are all the same."""
    axes = torch.eye(2)
    views = [3 * axes, axes.flip(0), torch.ones(2, 2)]
    losses, matched = pairwise_losses(views, temperature=0.5)
    swapped = math.log(1 + math.exp(2.0))  # the wrong one has cosine 1, the right one 0, over 0.5
    even = math.log(2.0)  # both are as near
    torch.testing.assert_close(losses, torch.full((2,), swapped + 2 * even))
    assert losses.shape == matched.shape == (2,)
    # Two views that agree.
    torch.testing.assert_close(
        pairwise_losses([axes, 2 * axes], 0.5)[0], torch.full((2,), math.log(1 + math.exp(-2.0)))
    )


def test_a_pre_trained_run_is_an_encoder(corpus: Path, tmp_path: Path) -> None:
    settings = ["upstream=multi_view", "upstream_options.members=[log_mel,fbank]", f"data.dir={corpus}"]
    settings += ["upstream_options.width=8", "data.batch_size=6", "trainer.steps=40", "trainer.lr=0.01"]
    settings += ["trainer.eval_every=20", "trainer.log_every=1", f"cache.dir={tmp_path / 'cache'}"]
    run = pretrain(read_experiment(None, settings, pretrain=True), tmp_path / "run")
    found = [line["loss"] for line in read_log(run) if line["split"] == "train"]
    assert sum(found[-5:]) < 0.9 * sum(found[:5])
    upstream = load_upstream(str(run))
    assert isinstance(upstream, MultiView)
    assert bool(upstream.get_buffer("fitted"))
    assert upstream.name == "multi_view"
