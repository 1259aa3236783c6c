"""mkdocs hook: pages that are made when the site is built, so that there is one copy of what they say.

The benchmark page is put together from benchmarks/results, the page of all settings from the code.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

_INTRO = """# Benchmarks

Each table is written by a script in `benchmarks/`; the command is above it. Contestants take turns and medians are
compared. Seconds belong to the machine: read the ratios.
"""


def on_files(files: Any, config: Any) -> Any:
    """Add benchmarks.md and settings.md to the site."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    results = root / "benchmarks" / "results"
    pages = [path.read_text(encoding="utf-8") for path in sorted(results.glob("*.md"))]
    sections = [page.replace("# ", "## ", 1) if page.startswith("# ") else page for page in pages]
    files.append(File.generated(config, "benchmarks.md", content="\n\n".join([_INTRO, *sections])))
    make_settings = runpy.run_path(str(root / "docs" / "make_settings.py"))
    files.append(File.generated(config, "settings.md", content=make_settings["page"]()))
    return files
