"""Long recordings are recognised window by window."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor
from toys.asr import file_cut, sentence, spell, toy_asr

from audiossl.core.config import as_dict, make
from audiossl.core.types import Batch
from audiossl.downstreams.asr.task import Asr


def long_text(num_words: int) -> str:
    return sentence(random.Random(7), num_words)


@pytest.mark.parametrize("head", [{}, {"kind": "linear", "frame_s": 0.03}])
def test_a_window_that_holds_the_recording_is_the_recording(head: dict[str, Any], tmp_path: Path) -> None:
    task = toy_asr(head=head).eval()
    cut = file_cut(tmp_path / "x.wav", "abc b ca")
    sound, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    batch = Batch(torch.from_numpy(sound)[None], torch.tensor([len(sound)]), (cut,))
    with torch.no_grad():
        whole = task.head.log_probs(*task.sequence(batch))[0][0]
        parts = list(task.long_log_probs(cut))
    assert torch.equal(torch.cat(parts), whole)
    assert task.predict_long(cut) == task.predict(batch)[0]


def test_long_recordings_are_recognised_window_by_window(recogniser: Asr, tmp_path: Path) -> None:
    text = long_text(120)
    cut = file_cut(tmp_path / "talk.wav", text)
    assert cut.duration > 20
    options = {"longest_s": 3.0, "window_s": 3.0, "overlap_s": 1.0}
    task = make(Asr, {**as_dict(recogniser.config), **options}, recogniser.upstream, recogniser.interface).eval()
    task.load_trainable_state(recogniser.trainable_state())
    sizes: list[int] = []
    head = task.head.forward

    def measured(x: Tensor, lengths: Tensor) -> Any:
        sizes.append(x.shape[1])
        return head(x, lengths)

    task.head.forward = measured  # type: ignore[method-assign]
    row = task.predict_long(cut)
    assert max(sizes) <= 300
    assert len(sizes) > 10
    cut.supervisions[0].text = text
    scored = task.predict_long(cut)
    assert scored["num_errors"] / scored["num_units"] < 0.1
    assert row["predicted"] == scored["predicted"]
    starts = [start for _, start, _, _ in row["words"]]
    assert starts == sorted(starts)
    expected = [begin for _, begin, _ in spell(text)[1]]
    assert starts[-1] == pytest.approx(expected[-1], abs=0.1)


def test_windows_fit_the_encoder(tmp_path: Path) -> None:
    task = toy_asr().eval()
    assert task.longest_s == 60
    cut = file_cut(tmp_path / "talk.wav", long_text(20))
    with torch.no_grad():
        whole = torch.cat(list(task.long_log_probs(cut)))
    task.upstream.max_samples = 40000
    assert task.longest_s == 2.5
    with torch.no_grad():
        parts = list(task.long_log_probs(cut))
    assert len(parts) > 1
    assert sum(map(len, parts)) == len(whole)
