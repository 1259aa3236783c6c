"""Examples as installed distributions."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toys.core import ROOT

from audiossl.core.registry import DOWNSTREAMS

Install = Callable[[str], dict[str, str]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Makes the task of a folder of examples known, as its pyproject.toml says. Gives its entry points."""
    names: list[str] = []

    def installed(name: str) -> dict[str, str]:
        folder = ROOT / "examples" / name
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        points: dict[str, str] = project["entry-points"]["audiossl.downstreams"]
        info = tmp_path / "site" / f"{project['name'].replace('-', '_')}-0.1.0.dist-info"
        info.mkdir(parents=True)
        metadata = {
            "Metadata-Version": "2.1",
            "Name": project["name"],
            "Version": "0.1.0",
            "Summary": project["description"],
        }
        (info / "METADATA").write_text("".join(f"{key}: {value}\n" for key, value in metadata.items()))
        lines = "".join(f"{key} = {target}\n" for key, target in points.items())
        (info / "entry_points.txt").write_text(f"[audiossl.downstreams]\n{lines}")
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        DOWNSTREAMS.__dict__.pop("_discovered", None)
        names.append(name)
        return points

    yield installed
    DOWNSTREAMS.__dict__.pop("_discovered", None)
    for name in names:
        sys.modules.pop(name, None)
