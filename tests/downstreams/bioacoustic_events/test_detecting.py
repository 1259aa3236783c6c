"""Detection in long recordings: in chunks as at once, at any rate, and recordings that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse.cut import Cut
from toys.events import detector, write_field

from audiossl.core.errors import AudioError
from audiossl.data.inputs import cuts_of
from audiossl.data.loader import collate
from audiossl.downstreams.bioacoustic_events import detecting
from audiossl.downstreams.bioacoustic_events.decisions import EventRule
from audiossl.downstreams.bioacoustic_events.detecting import detected, long_probabilities

RULES = [EventRule(0.5, 0.07, 0.03, 0.02)] * 2


def row(path: Path) -> Cut:
    (cut,) = cuts_of([str(path)])
    return cut


@pytest.mark.parametrize("rate_hz", [16000, 32000, 22050])
def test_in_chunks_the_result_is_that_of_the_whole(
    rate_hz: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_field(tmp_path, 1, lasts_s=9.0, rate_hz=rate_hz)
    task, cut = detector(), row(tmp_path / "day0.wav")
    (whole,) = task.predict(collate([cut], 16000))
    values = np.array(whole["probabilities"]).T
    monkeypatch.setattr(detecting, "fitting_chunks", lambda upstream: (1.3, 0.3))
    with torch.no_grad():
        parts = list(long_probabilities(task, cut))
    assert len(parts) > 5
    assert max(map(len, parts)) < 200
    assert np.abs(np.concatenate(parts) - values).max() <= 2e-5
    middle = [EventRule(float(np.median(values[:, place])), 0.07, 0.03, 0.02) for place in range(2)]
    found = detected(task, cut, middle)
    assert len(found) > 5
    monkeypatch.setattr(detecting, "fitting_chunks", lambda upstream: (30.0, 5.0))
    once = detected(task, cut, middle)
    assert [event[:3] for event in found] == [event[:3] for event in once]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    task = detector()
    soundfile.write(tmp_path / "short.wav", np.zeros(150), 16000)
    with pytest.raises(AudioError, match="150 samples; this upstream needs at least"):
        detected(task, row(tmp_path / "short.wav"), RULES)
    write_field(tmp_path, 1, lasts_s=9.0)
    soundfile.write(tmp_path / "night.flac", soundfile.read(tmp_path / "day0.wav")[0], 16000)
    cut, data = row(tmp_path / "night.flac"), bytearray((tmp_path / "night.flac").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    (tmp_path / "night.flac").write_bytes(bytes(data))
    with pytest.raises(AudioError, match=r"night\.flac"):
        detected(task, cut, RULES)
