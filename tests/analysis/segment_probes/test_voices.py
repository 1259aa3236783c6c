"""F0 of a known tone, and what a vocoder makes of it when it is flat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording

from audiossl.analysis.segment_probes.voices import FLAT_HZ, RATE_HZ, f0_track, resynthesised, with_f0
from audiossl.data.reading import read_cut
from audiossl.data.segments import Segment


@pytest.fixture
def voice(tmp_path: Path) -> CutSet:
    """Ten harmonics whose F0 is 220 Hz for half a second, then 110 Hz, and silence."""
    pytest.importorskip("pyworld")
    f0 = np.repeat([220.0, 110.0], RATE_HZ // 2)
    phase = 2 * np.pi * np.cumsum(f0) / RATE_HZ
    sound = sum(np.sin(number * phase) / number for number in range(1, 11))
    soundfile.write(tmp_path / "a.wav", 0.2 * np.append(sound, np.zeros(RATE_HZ // 2)), RATE_HZ)
    recording = Recording.from_file(tmp_path / "a.wav", recording_id="a")
    return CutSet.from_cuts([MonoCut("a", 0.0, recording.duration, 0, [], recording=recording)])


def test_f0_is_measured_where_there_is_some(voice: CutSet) -> None:
    spans = ((0.05, 0.45), (0.55, 0.95), (1.1, 1.4))
    found = with_f0(voice, [Segment("a", *span, "x") for span in spans])
    assert [float(each.fields["f0_hz"]) for each in found] == pytest.approx([220.0, 110.0], rel=0.02)


def test_flat_recordings_have_one_f0_and_their_length(voice: CutSet, tmp_path: Path) -> None:
    for flat, expected in ((False, [220.0, 110.0]), (True, [FLAT_HZ, FLAT_HZ])):
        (made,) = resynthesised(voice, tmp_path / str(flat), flat=flat)
        sound = read_cut(made, RATE_HZ)
        assert len(sound) == 3 * RATE_HZ // 2 and made.id == "a"
        f0, times_s = f0_track(np.asarray(sound, dtype=np.float64))
        spans = ((0.1, 0.4), (0.6, 0.9))
        medians = [np.median(f0[(times_s > start) & (times_s < end)]) for start, end in spans]
        assert medians == pytest.approx(expected, rel=0.03)
