"""wav2vec 2.0 is the shared waveform encoder as it is."""

from __future__ import annotations

import torch
from toys.waveform import of_the_short_item


def test_the_original_code_takes_the_frames_of_the_stems_formula_for_real() -> None:
    legacy = of_the_short_item("wav2vec2", "legacy")
    assert torch.equal(legacy, of_the_short_item("wav2vec2", "legacy_hf"))  # as transformers does
    assert not torch.allclose(legacy, of_the_short_item("wav2vec2", "exact"))
