"""How good inputs become bad ones: one value, key or stretch of bytes is changed.

Each function takes a source of choices: `random.Random`, or anything with its `choice` and `randrange`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

# What no field expects, as JSON has it: numbers out of every range, and text that elsewhere would be a path, an
# address, markup, a terminal code or configuration.
VALUES: tuple[Any, ...] = (
    *(None, True, "", [], {}, [[]]),
    *(-1, 0, 10**30, 1e308, float("nan"), float("inf"), "nan"),
    *("../../x", "/proc/x", "a\x00b", "\ud800", "x" * 300, "command", "http://127.0.0.1:9/x"),
    *("\x1b[31mred", "[bold]x[/]", "<script>x</script>", "${oc.env:HOME}", "${x}", "???", "$\\frac{1$"),
)
# Those that a command line can have.
TEXTS = tuple(str(value) for value in VALUES if not (isinstance(value, str) and ("\x00" in value or "\ud800" in value)))


class Choices(Protocol):
    """What decides."""

    def choice(self, among: Sequence[Any], /) -> Any: ...
    def randrange(self, below: int, /) -> int: ...


def bad_json(document: Any, choose: Choices) -> Any:
    """The document with one value replaced, one key left out or doubled under another name, or one part wrapped."""
    document = json.loads(json.dumps(document))
    places = list(_places(document))
    if not places:
        return choose.choice(VALUES)
    parent, key = choose.choice(places)
    action = choose.choice(("replace", "replace", "replace", "drop", "wrap", "add"))
    if action == "replace":
        parent[key] = choose.choice(VALUES)
    elif action == "drop":
        del parent[key]
    elif action == "wrap":
        parent[key] = [parent[key]]
    elif isinstance(parent, dict):
        parent[str(choose.choice(TEXTS))] = choose.choice(VALUES)
    else:
        parent.append(choose.choice(VALUES))
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    pairs = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(pairs):
        yield document, key
        yield from _places(value)


def bad_bytes(data: bytes, choose: Choices) -> bytes:
    """The bytes cut, emptied, with a stretch changed, doubled, or with something in front of them."""
    place = choose.randrange(len(data) + 1)
    action = choose.choice(("cut", "flip", "flip", "insert", "double", "empty", "mark"))
    if action == "cut":
        return data[:place]
    if action == "flip":
        return data[:place] + bytes(255 - byte for byte in data[place : place + 4]) + data[place + 4 :]
    if action == "insert":
        return data[:place] + choose.choice((b"\x00", b"\xff\xfe", b'"', b"\n", b"{", b"\x1b[31m")) + data[place:]
    if action == "double":
        return data + data
    return b"" if action == "empty" else b"\xef\xbb\xbf" + data


def bad_file(path: Path, choose: Choices) -> None:
    """Change a file in place: as JSON lines or as JSON where it is, else (or by chance) as bytes."""
    data = path.read_bytes()
    zipped = path.suffix == ".gz"
    text = gzip.decompress(data) if zipped else data
    if path.suffixes[:1] == [".jsonl"] and choose.randrange(4):
        rows = [json.loads(line) for line in text.splitlines()]
        number = choose.randrange(len(rows))
        rows[number] = bad_json(rows[number], choose)
        text = "\n".join(json.dumps(row) for row in rows).encode()
    elif path.suffix == ".json" and choose.randrange(4):
        text = json.dumps(bad_json(json.loads(text), choose)).encode()
    elif path.suffix in (".csv", ".txt", ".scp", ".yaml") and choose.randrange(3):
        text = _bad_words(text, choose)
    elif zipped and choose.randrange(2):
        path.write_bytes(bad_bytes(data, choose))
        return
    else:
        text = bad_bytes(text, choose)
    path.write_bytes(gzip.compress(text) if zipped else text)


def _bad_words(text: bytes, choose: Choices) -> bytes:
    """One word of a text replaced."""
    words = [word for word in text.replace(b",", b" ").replace(b":", b" ").split() if len(word) > 1]
    new = choose.choice(TEXTS).encode()
    return text.replace(choose.choice(words), new, 1) if words else new
