"""The heads of verification: published sizes, second implementations, padding, precision."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

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
from audiossl.core.errors import AudioError, ConfigError
from audiossl.downstreams.speaker_verification.heads import HEADS as REGISTERED
from audiossl.downstreams.speaker_verification.heads import FactorizedAttention, XVector, make_head
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.experiments.config import read_experiment
from audiossl.training.interface import load_interface


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_padding_may_hold_anything(options: dict[str, Any]) -> None:
    task = toy_task(**options).eval()
    head = task.head
    x, lengths = torch.randn(3, 40, task.interface.width), torch.tensor([40, 21, 30])
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


def test_factorized_attention_equals_heads_one_by_one() -> None:
    torch.manual_seed(0)
    head, x = FactorizedAttention(10, heads=3, inside=4, embedding_width=6), torch.randn(7, 10)
    keys, values = head.keys(x[:, :5]), head.values(x[:, 5:])
    pooled = [(head.scores(keys)[:, number].softmax(dim=0)[:, None] * values).sum(dim=0) for number in range(3)]
    found = head(x[None], torch.tensor([7]))[0][0]
    torch.testing.assert_close(found, head.segment(torch.cat(pooled)))


def test_every_choice_has_a_head_and_the_published_sizes() -> None:
    assert set(get_args(get_type_hints(Config)["head"])) == set(REGISTERED)
    found = {}
    with torch.device("meta"):
        for name in ("mfa", "rawnet3", "ska_tdnn", "mhfa"):
            head = make_head(Config(head=name), 160, num_parts=2)
            found[name] = round(sum(p.numel() for p in head.parameters()) / 1e6, 2)
    assert found == {"mfa": 17.24, "rawnet3": 17.43, "ska_tdnn": 32.35, "mhfa": 1.6}


def test_a_head_of_keys_and_values_needs_both() -> None:
    with pytest.raises(ConfigError, match="set interface=parallel_sums"):
        make_head(Config(head="mhfa"), 8)


def test_an_attended_recording_has_a_longest_length() -> None:
    task = toy_task(head="mfa")
    task.head.max_frames = 20
    with pytest.raises(AudioError, match="20 at most; cut the recording"):
        task.embeddings(batch_of(2))


def test_wrong_sizes_are_errors() -> None:
    for options, named in (
        ({"tdnn": [[8, 5]]}, "three numbers"),
        ({"segment_layers": 3}, "segment_layers=3"),
        ({"head": "ecapa", "ecapa_channels": 12}, "multiple of 8"),
        ({"speakers": ["ann"]}, "at least two"),
        ({"head": "rawnet3", "rawnet3": {"channels": 12}}, "multiple of 8"),
        ({"loss": "sub_center_aam", "top_k": 5}, "top_k=5: there are 3 classes"),
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
