"""Two views of utterances."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from audiossl import Batch, check_objective, load_objective, load_upstream
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.tera.views import contrastive_loss
from audiossl.objectives.views.objective import ViewsObjective

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
UNCHANGED = {"reverb": 0.0, "channel": 0.0, "noise": 0.0, "gain_db": 0.0}


def objective(**options: Any) -> ViewsObjective:
    torch.manual_seed(0)
    made = load_objective("views", load_upstream("mel_transformer", weights="random", **TINY), **options)
    assert isinstance(made, ViewsObjective)
    return made


def test_views_of_long_utterances_share_no_sample() -> None:
    task = objective(view_s=0.3, apart_s=0.8, augment=UNCHANGED).eval()
    ramp = torch.arange(16000.0)
    batch = Batch(*pad([ramp, ramp[:8000], ramp[:4000]]))
    (first, ends), (second, others) = task._view(batch, 0), task._view(batch, 1)
    assert ends.tolist() == others.tolist() == [4800, 4800, 4000]
    assert float(first[0].max()) < 8000 <= float(second[0].min())
    assert float(second[1].min()) < 4000  # too short to be parted
    assert torch.equal(first[2], second[2])


@pytest.mark.parametrize("options", [{}, {"projection_width": 8}], ids=["means", "projected"])
def test_the_loss_compares_means_of_views(options: dict[str, Any]) -> None:
    task = objective(view_s=0.3, **options)
    check_objective(task, steps=3)
    task.eval()
    batch = Batch(*pad(noise(task.upstream, [0.5, 0.6, 0.4])))
    means = []
    for half in (0, 1):
        features = task.upstream(*task._view(batch, half))
        means += [features.item(item)[-1].mean(0) for item in range(3)]
    expected = contrastive_loss(task.head(torch.stack(means)), 0.1)
    torch.testing.assert_close(task.loss(batch).total, expected, rtol=1e-4, atol=1e-5)
