"""The page of a layer-wise analysis: figures, and for each view where an encoder shares most with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from audiossl.analysis.layerwise.study import Study
from audiossl.analysis.layerwise.writing import PEAK_TITLES, figures_of, notes_of, peak_lines
from audiossl.core.files import atomic_write
from audiossl.core.outputs import check_out

_HERE = Path(__file__).parent
_BEGINNING = b"<!doctype html>"


def check_analysis_page(out: Path) -> None:
    """Raise OutputError, before anything is computed, where the page cannot be written."""
    check_out(out, "folder")
    check_out(out / "index.html", "file", begins=_BEGINNING)


def write_analysis_page(study: Study, out: Path, command: str) -> Path:
    """Write out/index.html beside the figures. Returns its path.

    study: what was found.
    out: the folder with the figures.
    command: that gave it.
    Raises OutputError for a page that cannot be written.
    """
    check_analysis_page(out)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    material = study.material
    page = environment.get_template("analysis_page.html").render(
        title="Layer by layer: "
        + ", ".join(each.studied.written for each in study.encoders if not each.studied.beside),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        num_recordings=len(material.cuts),
        hours=sum(cut.duration for cut in material.cuts) / 3600,
        command=command,
        titles=PEAK_TITLES,
        sections=[_section(study, view, name) for view, name in figures_of(study).items()],
        grids=[] if study.grid is None else list(study.grid.values),
    )
    with atomic_write(out / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out / "index.html"


def _section(study: Study, view: str, figure: str) -> dict[str, Any]:
    return {"name": view, "figure": figure, "rows": peak_lines(study, view), "notes": notes_of(study, view)}
