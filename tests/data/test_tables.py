"""Text of other programs: tables, lists, numbers, paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audiossl.core.errors import ManifestError
from audiossl.data.bad_rows import BadRows
from audiossl.data.tables import Numbers, json_rows, local_path, numbered_lines, parse_table, read_text

Write = Callable[..., Path]


def rows_of(text: str, *, quotes: bool = True) -> list[list[str]]:
    return [list(row.values()) for _, row in parse_table("t", text, quotes=quotes).rows]


def test_only_line_ends_end_a_line(table: Write) -> None:
    """Of what Unicode calls a line end, all but these three may be in a name."""
    text = read_text(table("t.txt", "\ufeffa\u2028b\r\nc\rd\n\n e\x0c \n"), "list")
    assert [(where.rpartition(" ")[2], line) for where, line in numbered_lines("t", text)] == [
        ("1", "a\u2028b"),
        ("2", "c"),
        ("3", "d"),
        ("5", " e\x0c "),
    ]


@pytest.mark.parametrize(
    ("text", "header", "rows"),
    [
        ("a,b;c\n1,2\n", ["a", "b;c"], [["1", "2"]]),
        ('a;"b, c, d"\n1;2\n', ["a", "b, c, d"], [["1", "2"]]),
        ("a\tb, c, d\n1\t2\n", ["a", "b, c, d"], [["1", "2"]]),
        ('a;b\n1;"x\ny, z"\n', ["a", "b"], [["1", "x\ny, z"]]),
        ('a,b\n1, "x, ""y"""\n', ["a", "b"], [["1", 'x, "y"']]),
        ('a\tb\n1\t"x\n2\ty"\n', ["a", "b"], [["1", '"x'], ["2", 'y"']]),
        (",a,\n0,1,\n", ["", "a", ""], [["", "1"]]),
        ("", [], []),
    ],
)
def test_what_parts_columns_is_told_from_the_header(text: str, header: list[str], rows: list[list[str]]) -> None:
    assert parse_table("t", text).header == header
    assert rows_of(text) == rows


def test_a_row_is_named_by_its_first_line() -> None:
    found = parse_table("t", 'a,b\n\n1,"x\ny"\n2,z\n').rows
    assert [where for where, _ in found] == ["t line 3", "t line 5"]


@pytest.mark.parametrize(
    ("cell", "delimiter", "value"), [("0,5", ";", 0.5), ("0,5", "\t", 0.5), ("-1e3", ",", -1000.0), (" 7 ", ";", 7.0)]
)
def test_numbers(cell: str, delimiter: str, value: float) -> None:
    assert Numbers(delimiter)("t", "x", cell) == value


@pytest.mark.parametrize("cell", ["", "1_0", "nan", "inf", "1,2,3", "1,5"])
def test_what_is_no_number(cell: str) -> None:
    with pytest.raises(ManifestError, match="t line 1: x is .*, not a number"):
        Numbers(",")("t line 1", "x", cell)


def test_a_backslash_may_be_in_a_name(tmp_path: Path) -> None:
    (tmp_path / "a\\b.wav").touch()
    assert local_path("a\\b.wav", tmp_path) == "a\\b.wav"
    assert local_path("a\\c.wav", tmp_path) == "a/c.wav"


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (None, None, r"There is no list .*t\.txt; correct its path"),
        (b"caf\xe9", None, r"The list .* is not text in utf-8 .*save it as UTF-8\."),
        (b"caf\xe9", "utf-8", r"is not text in utf-8 .*save it as UTF-8, or name its encoding"),
        (b"x", "utf-99", r"There is no encoding 'utf-99'"),
        (b"a\nb\0", None, r"t\.txt line 2 has a NUL character"),
    ],
)
def test_what_is_no_text(
    table: Write, tmp_path: Path, content: bytes | None, encoding: str | None, message: str
) -> None:
    path = tmp_path / "t.txt" if content is None else table("t.txt", content)
    with pytest.raises(ManifestError, match=message):
        read_text(path, "list", encoding)
    with pytest.raises(ManifestError, match=r"The list .* cannot be read \(Is a directory\)"):
        read_text(tmp_path, "list")


def test_bad_rows_are_left_out_where_that_is_asked_for(table: Write) -> None:
    path = table("rows.jsonl", '{"a": 1}\n\n[2]\n{"a": \n{"a": "\u2028"}\n')
    bad = BadRows(skip=True)
    assert [told for _, told in json_rows(path, "list", bad)] == [{"a": 1}, {"a": "\u2028"}]
    assert [where.rpartition(" ")[2] for where in bad.left_out] == ["3", "4"]
    with pytest.raises(ManifestError, match="line 3 must hold a JSON object, not a list"):
        list(json_rows(path, "list", BadRows()))
    found = parse_table("t", "a,b\n1,2\n3\n4,5\n", bad=bad)
    assert [row["b"] for _, row in found.rows] == ["2", "5"]
    assert "t line 3" in bad.left_out
