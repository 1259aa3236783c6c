"""mkdocs hook: the benchmark page is put together from benchmarks/results, so that there is one copy of each figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_INTRO = """# Benchmarks

Each table is written by a script in `benchmarks/`; the command is above it. Contestants take turns and medians are
compared. Seconds belong to the machine: read the ratios.
"""


def on_files(files: Any, config: Any) -> Any:
    """Add benchmarks.md to the site."""
    from mkdocs.structure.files import File

    results = Path(config.config_file_path).parent / "benchmarks" / "results"
    pages = [path.read_text(encoding="utf-8") for path in sorted(results.glob("*.md"))]
    sections = [page.replace("# ", "## ", 1) if page.startswith("# ") else page for page in pages]
    files.append(File.generated(config, "benchmarks.md", content="\n\n".join([_INTRO, *sections])))
    return files
