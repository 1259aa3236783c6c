"""Encoders from a name: drawn from a seed, whatever was drawn before."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys.core import TINY_TERA

from audiossl.core.errors import ConfigError
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import fingerprint
from audiossl.encoders.building import build_upstream, passed_on


def test_weights_follow_the_seed_and_leave_the_random_state_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one = build_upstream("tera", TINY_TERA, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert fingerprint(build_upstream("tera", TINY_TERA, seed=0)) == fingerprint(one)
    assert fingerprint(build_upstream("tera", TINY_TERA, seed=1)) != fingerprint(one)
    assert one.name == "tera"


def test_a_wrong_option_names_its_upstream() -> None:
    with pytest.raises(ConfigError, match="options of upstream tera.*'widht'.*Did you mean width"):
        build_upstream("tera", {"widht": 4}, seed=0)


def test_what_is_no_upstream_is_an_error_of_its_author(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stranger(nn.Module):
        def __init__(self, **_: object) -> None:
            super().__init__()

    monkeypatch.setattr(UPSTREAMS, "load", lambda name: Stranger)
    with pytest.raises(TypeError, match="mine made a Stranger, not an Upstream"):
        build_upstream("mine", {}, seed=0)


def test_only_a_front_end_around_an_encoder_is_told_how_to_load_it() -> None:
    assert passed_on("tera", random_init=True, seed=3) == {}
    assert passed_on("bandwidth", random_init=True, seed=3) == {"weights": "random", "seed": 3}
    assert passed_on("bandwidth", random_init=False, seed=3)["weights"] == "pretrained"
