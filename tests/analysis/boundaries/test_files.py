"""Segments as TextGrid and CTM are read again by this package."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.tones import tone_row

from audiossl.analysis.boundaries.files import write_segments
from audiossl.core.errors import OutputError
from audiossl.data.segments import Segment, read_segments


@pytest.mark.parametrize("form", ["textgrid", "ctm"])
def test_what_is_written_is_read(tmp_path: Path, form: str) -> None:
    row = tone_row(tmp_path, "a", ["low", "mid"])
    segments = [Segment("a", 0.0, 0.2, "1"), Segment("a", 0.25, 0.5, "2")]
    (path,) = told = write_segments([(row, segments)], tmp_path / "out", form, [])
    assert told[path] == 2
    assert [each[1:4] for each in read_segments([row], path)] == [each[1:4] for each in segments]
    with pytest.raises(OutputError, match="is there already"):
        write_segments([(row, segments)], tmp_path / "out", form, [])
    assert write_segments([(row, segments[:1])], tmp_path / "out", form, [], overwrite=True)[path] == 1
