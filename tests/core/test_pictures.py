"""Pictures: labels are drawn as they are, a file is whole, and what is none is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from audiossl.core.errors import OutputError
from audiossl.core.pictures import is_picture, save_figure

LABELS = [r"$\frac{1$", "$x^2$", "$", r"\alpha", "plain"]


def figure_of(labels: list[str]) -> Figure:
    figure = Figure(figsize=(3, 3))
    axes = figure.add_subplot()
    axes.plot(range(len(labels)), range(len(labels)), label=labels[0])
    axes.set_xticks(range(len(labels)), labels)
    axes.set(title=labels[0], xlabel=labels[0])
    axes.legend()
    return figure


def test_a_label_with_dollar_signs_is_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.png"
    save_figure(figure_of(LABELS), path, dpi=50)
    assert is_picture(path)
    assert b"matplotlib" not in path.read_bytes()
    save_figure(figure_of(["$a$"]), tmp_path / "text.png")
    save_figure(figure_of(["a"]), tmp_path / "formula.png")
    assert not np.array_equal(imread(tmp_path / "text.png"), imread(tmp_path / "formula.png"))


def test_a_full_disk_leaves_the_earlier_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    save_figure(figure_of(LABELS), path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OutputError, match=r"a\.png could not be written: the disk is full"):
        save_figure(figure_of(["b"]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content", "is_one"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n....", True),
        ("a.png", b"root:x:0:0:root", False),
        ("a.png", b"<svg>", False),
        ("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', True),
        ("a.svg", b"root:x:0:0:root", False),
        ("a.png", b"", False),
    ],
)
def test_what_is_a_picture(tmp_path: Path, name: str, content: bytes, is_one: bool) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_picture(tmp_path / name) is is_one
