"""DistilHuBERT: HuBERT with two blocks, no norm between stem and projection, nothing to mask with."""

from __future__ import annotations

import torch
from toys.engines import TINY
from toys.waveform import of_the_short_item

from audiossl import load_upstream
from audiossl.upstreams.distilhubert.model import DistilHubertConfig


def test_what_is_left_out_has_no_weights() -> None:
    ours = load_upstream("distilhubert", weights="random", **TINY)
    theirs = load_upstream("hubert", weights="random", **TINY)
    missing = theirs.state_dict().keys() - ours.state_dict().keys()
    assert missing == {"feature_norm.weight", "feature_norm.bias", "mask_embedding"}
    assert not ours.state_dict().keys() - theirs.state_dict().keys()


def test_the_published_model_has_two_blocks() -> None:
    config = DistilHubertConfig()
    assert (config.num_layers, config.width, config.feature_norm) == (2, 768, False)


def test_the_original_code_takes_a_frame_for_real_if_any_of_its_samples_is() -> None:
    ours = of_the_short_item("distilhubert", "legacy")
    assert not torch.allclose(ours, of_the_short_item("distilhubert", "legacy_hf"))
