"""The page of all settings, and that the site has it."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from audiossl.core.settings import leaves
from audiossl.experiments.settings import BY_KIND, EXPERIMENTS, plugin_settings, settings_sheet

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def page() -> str:
    made = runpy.run_path(str(DOCS / "make_settings.py"))["page"]()
    assert isinstance(made, str)
    return made


def test_every_setting_is_a_row(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)
    named = {row.split("`")[1] for row in rows}
    sheets = [settings_sheet(name).settings for name in EXPERIMENTS]
    sheets += [plugin_settings(kind, name) for kind, registry in BY_KIND.items() for name in registry.names()]
    assert {setting.name for settings in sheets for setting in leaves(settings)} == named


def test_every_name_is_there_with_its_defaults(page: str) -> None:
    for registry in BY_KIND.values():
        assert [name for name in registry.names() if f"`{name}`" not in page] == []
    row = next(line for line in page.splitlines() if line.startswith("| `trainer.optimizer`"))
    assert "| `adam` |" in row
    assert row.endswith("One of `adam`, `adamw`, `sgd`. |")


def test_the_site_has_the_pages_that_are_made(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """mkdocs itself is no dependency of the tests."""
    files = ModuleType("mkdocs.structure.files")
    generated = SimpleNamespace(generated=lambda config, path, content: (path, content))
    monkeypatch.setattr(files, "File", generated, raising=False)
    for name in ("mkdocs", "mkdocs.structure"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "mkdocs.structure.files", files)
    config = SimpleNamespace(config_file_path=str(DOCS.parent / "mkdocs.yml"))
    made = dict(runpy.run_path(str(DOCS / "hooks.py"))["on_files"]([], config))
    assert set(made) == {"benchmarks.md", "settings.md"}
    assert made["settings.md"] == page
