"""Write docs/notebooks from pages with tested code: `python docs/make_notebooks.py`. A test says when one is old."""

from __future__ import annotations

import re
from pathlib import Path

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes_json

DOCS = Path(__file__).parent
FOLDER = DOCS / "notebooks"
# Of each notebook its page, and the section that it is made from; '' for the whole page.
NOTEBOOKS = {
    "first-steps.ipynb": ("index.md", ""),
    "scikit-learn.ipynb": ("interchange.md", "scikit-learn"),
    "units.ipynb": ("units.md", "In Python"),
}
_CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:|#)")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(name: str) -> str:
    """A notebook as JSON: the code of its page as cells, and all between as text. Equal pages give an equal file."""
    page, section = NOTEBOOKS[name]
    text = (DOCS / page).read_text(encoding="utf-8")
    parts = _CODE.split(_section(text, section) if section else text)  # text, code, text, code, ..., text
    made = f"Made from docs/{page} by docs/make_notebooks.py."
    cells = [
        new_markdown_cell(f"*{made} It needs audiossl, and writes into the folder where it runs.*", id="made-from")
    ]
    for number, part in enumerate(parts):
        if number % 2:
            cells.append(new_code_cell(part.rstrip(), id=f"code-{number // 2}"))
        elif part.strip():
            cells.append(new_markdown_cell(_LINK.sub("](../", part.strip()), id=f"text-{number // 2}"))
    return str(writes_json(new_notebook(cells=cells, metadata=_METADATA))) + "\n"


def _section(text: str, title: str) -> str:
    """A section of a page with its heading, up to the next one."""
    _, heading, rest = text.partition(f"## {title}\n")
    if not heading:
        raise ValueError(f"There is no section {title!r}; correct NOTEBOOKS in docs/make_notebooks.py.")
    return heading + rest.partition("\n## ")[0]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in NOTEBOOKS:
        (FOLDER / name).write_text(notebook(name), encoding="utf-8")
