"""All frames of a long row have a limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from toys.core import ToyConfig, ToyUpstream
from toys.joined import RATE_HZ, noise
from toys.words import WORDS

from audiossl.core.config import make
from audiossl.core.errors import AudioError
from audiossl.data.inputs import cuts_of
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.training import long_rows
from audiossl.training.interface import load_interface


def test_a_head_that_reads_every_frame_has_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_rows, "MOST_FRAMES", 329)
    soundfile.write(tmp_path / "a.wav", noise(3.3), RATE_HZ, subtype="FLOAT")
    (cut,) = cuts_of([str(tmp_path / "a.wav")])
    torch.manual_seed(0)
    upstream = ToyUpstream(ToyConfig())
    mean, all_of_them = (
        make(
            UtteranceClassification,
            {"labels": list(WORDS), "pooling": pooling},
            upstream,
            load_interface("weighted_sum", (8,) * 3),
        ).eval()
        for pooling in ("mean", "statistics")
    )
    mean.predict_long(cut)  # which holds no frames
    with pytest.raises(AudioError, match=r"a\.wav lasts 0 minutes, of which this head needs all 330 frames at once"):
        all_of_them.predict_long(cut)
