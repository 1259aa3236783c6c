"""A layer for each view, of frozen encoders that only fine-tuning may change."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable
from audiossl.encoders.weights import save_upstream
from audiossl.upstreams.multi_view.model import MultiView, MultiViewConfig

SMALL = {"members": ["log_mel", "mfcc"], "width": 8, "hidden": 6}


def test_the_contract_holds_and_a_file_gives_it_back(tmp_path: Path) -> None:
    upstream = load_upstream("multi_view", weights="random", **SMALL)
    assert isinstance(upstream, MultiView)
    check_upstream(upstream)
    mean, deviation = torch.arange(80.0), torch.full((80,), 2.0)
    upstream.set_statistics([(mean, deviation), (torch.ones(39), torch.ones(39))])
    save_upstream(upstream, tmp_path / "views.safetensors")
    again = load_upstream(str(tmp_path / "views.safetensors"))
    wav = torch.randn(1, 8000)
    for one, other in zip(again(wav).layers, upstream(wav).layers, strict=True):
        torch.testing.assert_close(one, other)
    # By hand: the mean over time of log mel frames, standardised, through the first view's encoder.
    means = load_upstream("log_mel")(wav).layers[0].mean(dim=1)
    torch.testing.assert_close(upstream.blocks[0][0]((means - mean) / deviation), upstream(wav).layers[0][:, 0])


def test_one_block_is_all_encoders_of_views() -> None:
    upstream = MultiView(MultiViewConfig(["tera_mini", "log_mel"], width=8, hidden=6))
    make_trainable(upstream, FinetuneConfig(mode="top_k", top_k=1))
    assert not any(parameter.requires_grad for parameter in upstream.views.parameters())
    assert all(parameter.requires_grad for parameter in upstream.blocks.parameters())


def test_one_view_is_none() -> None:
    with pytest.raises(ConfigError, match=r"members=\['log_mel'\]: views are compared with each other; name at least"):
        MultiView(MultiViewConfig(["log_mel"]))
