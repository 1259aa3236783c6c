"""Pictures by matplotlib: text is text, a file is whole or not there, and what is shown as a picture is one."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
_PNG = b"\x89PNG\r\n\x1a\n"


def save_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as a PNG in one step, without the name and version of who wrote it.

    A label with dollar signs is no formula: its text is drawn as it is.

    figure: what is drawn.
    path: of the file, in a folder that is made where it is not there.
    options: of matplotlib's `savefig`, such as dpi.
    """
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Labels of ticks are made while the figure is drawn.
    context = matplotlib.rc_context({"text.parse_math": False})
    with context, warnings.catch_warnings(), atomic_write(path) as temporary:
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # in its place there is a box
        figure.savefig(temporary, format="png", **{"metadata": {"Software": None}, **options})


def is_picture(path: Path) -> bool:
    """Whether a file is what its suffix says, by its first bytes: a PNG, or an SVG."""
    with open(path, "rb") as file:
        start = file.read(1000)
    return start.startswith(_PNG) if path.suffix == ".png" else b"<svg" in start
