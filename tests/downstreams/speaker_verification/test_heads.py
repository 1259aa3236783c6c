"""The heads of verification: published sizes, second implementations, padding, precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys.bands import Bands
from toys.voices import (
    HEADS,
    Config,
    batch_of,
    name_of,
    toy_task,
)

from audiossl.core.config import as_dict, make, structured
from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.heads import XVector
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.experiments.config import read_experiment
from audiossl.training.interface import load_interface


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_padding_may_hold_anything(options: dict[str, Any]) -> None:
    head = toy_task(**options).eval().head
    x, lengths = torch.randn(3, 40, 8), torch.tensor([40, 21, 30])
    clean = head(x, lengths)[0]
    for row, length in enumerate(lengths.tolist()):
        x[row, length:] = 1e4
    torch.testing.assert_close(head(x, lengths)[0], clean)


def test_the_published_head_has_its_sizes() -> None:
    config = structured(Config, read_experiment(None, ["downstream=speaker_verification", "setting=superb"]).task)
    task = make(
        SpeakerVerification,
        {**as_dict(config), "speakers": [str(number) for number in range(1211)]},
        Bands(),
        load_interface("last", (768,)),
    )
    shapes = {name: tuple(value.shape) for name, value in task.head.state_dict().items() if name.endswith("weight")}
    assert shapes == {
        "projector.weight": (512, 768),
        "layers.0.weight": (512, 512, 5),
        "layers.1.weight": (512, 512, 3),
        "layers.2.weight": (512, 512, 3),
        "layers.3.weight": (512, 512, 1),
        "layers.4.weight": (1500, 512, 1),
        "segment.weight": (512, 3000),
        "second.weight": (512, 512),
    }
    assert task.criterion.weight.shape == (1211, 512)
    assert task.head.min_frames == 15
    assert (config.loss, config.margin, config.scale) == ("am", 0.4, 30.0)


def test_x_vector_equals_frames_one_by_one() -> None:
    """Each time-delay layer is a linear layer on the frames of its context."""
    torch.manual_seed(0)
    head = XVector(3, [[4, 3, 2]], projector_width=None, pooling="mean", embedding_width=5)
    x = torch.randn(1, 9, 3)
    (layer,) = head.layers
    assert isinstance(layer, torch.nn.Conv1d)
    frames = [
        torch.nn.functional.linear(x[0, [t, t + 2, t + 4]].T.flatten(), layer.weight.flatten(1), layer.bias).relu()
        for t in range(5)
    ]
    assert head.min_frames == 5
    expected = head.segment(torch.stack(frames).mean(dim=0))
    torch.testing.assert_close(head(x, torch.tensor([9]))[0][0], expected)


def test_wrong_sizes_are_errors() -> None:
    for options, named in (
        ({"tdnn": [[8, 5]]}, "three numbers"),
        ({"segment_layers": 3}, "segment_layers=3"),
        ({"head": "ecapa", "ecapa_channels": 12}, "multiple of 8"),
        ({"speakers": ["ann"]}, "at least two"),
        ({"pooling": "medain"}, "median|mean"),
    ):
        with pytest.raises(ConfigError, match=named):
            toy_task(**options)


def test_half_precision_features_and_autocast_stay_finite() -> None:
    for options in HEADS:
        task, batch = toy_task(**options).train(), batch_of()
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.loss(batch).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)
