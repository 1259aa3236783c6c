"""Ids and labels of elsewhere: nothing that a terminal or rich obeys, and no path that leads out of a folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from audiossl.core.errors import ManifestError
from audiossl.core.untrusted import file_names, json_text, printable, shown

CODES = [
    "\x1b[31mred",
    "bell\a",
    "\x9b31m",
    "\x7f",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\u2028b",
    "a\u202eb",
    "half \ud800",
    "\0",
]
PLAIN = ["Grünspecht", "日本語", "[hf]", "a b", "e\u0301", "👩\u200d🚀", "عربي", "$x$", "\\x1b"]


@pytest.mark.parametrize("text", CODES)
def test_codes_of_a_terminal_are_written_out(text: str) -> None:
    for made in (printable(text), shown(text).plain, json_text({"id": text})):
        assert made.isascii()
        assert not {character for character in made if ord(character) < 32}
    assert json.loads(json_text([text])) == [text]


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert json.loads(json_text({"id": text}, indent=2)) == {"id": text}
    assert text.replace("\\", "\\\\") in json_text([text])


@pytest.mark.parametrize("text", [*PLAIN, "[red]x[/red]", "[/]", "[link=file:///x]a[/link]", "a\\", "[bold", ":smile:"])
def test_nothing_is_markup(text: str) -> None:
    buffer = io.StringIO()
    Console(file=buffer, soft_wrap=True).print(shown(text))
    assert buffer.getvalue() == f"{text}\n"


def test_every_id_has_a_file_of_its_own_below_the_folder() -> None:
    ids = ["a", "b/c", "/d/e", "../f", "g/../h", "./i", "j\x1b[k", "l.m", "ü" * 100]
    assert file_names(ids, ".txt") == [
        Path(name)
        for name in (
            "a.txt",
            "b/c.txt",
            "d/e.txt",
            "f.txt",
            "g/h.txt",
            "i.txt",
            "j_[k.txt",
            "l.m.txt",
            "ü" * 100 + ".txt",
        )
    ]


@pytest.mark.parametrize(
    "ids", [["a", "../a"], ["a", "/a"], ["../a", "/a"], ["a", "a"], ["x\x01", "x\x02"], ["a", "./a"]]
)
def test_ids_that_would_be_one_file_are_refused(ids: list[str]) -> None:
    with pytest.raises(ManifestError, match="both be written as [ax]_?.npz; give the rows ids that differ") as caught:
        file_names(["b", *ids], ".npz")
    assert all(repr(name) in str(caught.value) for name in ids)


@pytest.mark.parametrize("name", ["", "/", "..", "../..", ".", "y" * 252, "a/" + "ü" * 126])
def test_an_id_that_names_no_file_is_refused(name: str) -> None:
    with pytest.raises(ManifestError, match=r"(names no file|is too long for the name of a file); give the row"):
        file_names([name], ".npz")
