"""UniSpeech-SAT is wav2vec 2.0's encoder but for what its original code takes for padding."""

from __future__ import annotations

import torch
from toys.waveform import of_the_short_item


def test_the_original_code_takes_a_frame_for_real_if_any_of_its_samples_is() -> None:
    ours, theirs = of_the_short_item("unispeech_sat", "legacy"), of_the_short_item("unispeech_sat", "legacy_hf")
    assert ours.shape == theirs.shape
    assert not torch.allclose(ours, theirs)  # one more frame is attended to


def test_without_padding_it_is_wav2vec_2() -> None:
    assert torch.equal(of_the_short_item("unispeech_sat", "exact"), of_the_short_item("wav2vec2", "exact"))
