"""TextGrids are read as praatio reads them and written as Praat does."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import LabelError
from audiossl.data.textgrid import Interval, read_textgrid, write_textgrid


def test_what_is_written_is_read_without_pauses(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    words, phones = [Interval(0.1, 0.5, 'say "a"')], [Interval(0.1, 0.2, "s"), Interval(0.3, 0.5, "a")]
    write_textgrid(path, {"words": words, "phones": phones}, 1.0)
    found, lasts_s = read_textgrid(path, "phones")
    assert (found.starts_s.tolist(), found.ends_s.tolist(), found.labels) == ([0.1, 0.3], [0.2, 0.5], ("s", "a"))
    assert lasts_s == 1.0
    assert read_textgrid(path, "words")[0].labels == ('say "a"',)
    with pytest.raises(LabelError, match=r"has no tier 'phone'\. Did you mean phones\?"):
        read_textgrid(path, "phone")
    write_textgrid(path, {"words": words}, 1.0)
    assert read_textgrid(path)[0].labels == ('say "a"',)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no TextGrid that can be read"),
        ("x 1 0 1 a\n", "is no TextGrid that can be read"),
        (None, "There is no TextGrid"),
    ],
)
def test_other_files_are_an_error(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "a.TextGrid"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LabelError, match=sentence):
        read_textgrid(path)
    write_textgrid(path, {"words": []}, 1.0)
    with pytest.raises(LabelError, match="has no label"):
        read_textgrid(path)
