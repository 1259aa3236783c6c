"""The notebooks are those that their pages make, whose code other tests run."""

from __future__ import annotations

import json
import re
import runpy

import nbformat
import pytest
from docs.test_readme import PAGES, as_script
from toys.core import ROOT

MADE = runpy.run_path(str(ROOT / "docs" / "make_notebooks.py"))
FOLDER = ROOT / "docs" / "notebooks"


def test_there_are_no_others() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(MADE["NOTEBOOKS"])


@pytest.mark.parametrize("name", MADE["NOTEBOOKS"])
def test_a_notebook_is_what_its_page_makes(name: str) -> None:
    kept = (FOLDER / name).read_text(encoding="utf-8")
    assert kept == MADE["notebook"](name), "run `python docs/make_notebooks.py`"
    nbformat.validate(nbformat.reads(kept, as_version=4))
    cells = json.loads(kept)["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert code
    page = next(page for page in PAGES if page.name == MADE["NOTEBOOKS"][name][0])
    assert all(cell in as_script(page) for cell in code)  # which runs in test_readme.py


@pytest.mark.parametrize("name", MADE["NOTEBOOKS"])
def test_links_lead_from_the_notebooks_to_the_pages(name: str) -> None:
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    generated = {"settings.md", "benchmarks.md"}
    for link in re.findall(r"\]\((?!\w+:|#)([^)#]+)", text):
        path = FOLDER / link
        assert path.is_file() or path.name in generated
