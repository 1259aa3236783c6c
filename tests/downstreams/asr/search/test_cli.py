"""`audiossl lm train` and `audiossl decode`: what they print, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_model_of_a_text_file(tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    text, out = tmp_path / "text.txt", tmp_path / "lm.arpa"
    text.write_text("a b c\nb c\n", encoding="utf-8")
    done = audiossl("lm", "train", text, "--order", 2, "--out", out)
    assert done.code == 0, done.err
    assert "n-grams by length: 6 of 1, 5 of 2" in done.out
    assert "\\2-grams:" in out.read_text(encoding="utf-8")
    again = audiossl("lm", "train", text, "--out", out)
    assert (again.code, "is there already" in again.err) == (2, True)
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    nothing = audiossl("lm", "train", empty, "--out", tmp_path / "no.arpa")
    assert (nothing.code, "The text has no word" in nothing.err) == (2, True)


def test_decode_refuses_what_is_no_run(tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    done = audiossl("decode", tmp_path)
    assert done.code == 2
    assert done.err.startswith("error: ")
