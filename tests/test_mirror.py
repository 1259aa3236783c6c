"""The tests mirror the tree: audiossl/<room>/<file>.py is tested by tests/<room>/test_<file>.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.core import ROOT

# What nothing can be asserted of in a file of its own, and where it is tested instead.
EXEMPT = {
    "__init__.py": "tests/test_floors.py, tests/core/test_registry.py",
    "__main__.py": "tests/test_floors.py, which runs `python -m audiossl`",
}
# Every name of every card is loaded, described and built at toy size there.
CARDS_OF_PLUGINS = ("tests/contract/test_contract.py", "tests/core/test_registry.py")
PLUGINS = ("interfaces", "objectives", "upstreams", "downstreams")


def modules_below(root: Path) -> list[Path]:
    """All source files of the package, relative to it: the plug-ins' as they are imported."""
    found = [path.relative_to(root / "audiossl") for path in (root / "audiossl").rglob("*.py")]
    found = [path for path in found if path.parts[0] not in ("upstreams", "downstreams")]  # links
    for top in ("upstreams", "downstreams"):
        found += [path.relative_to(root) for path in (root / top).rglob("*.py")]
    return sorted(found)


def untested(root: Path) -> list[str]:
    """Files that need a test file of their name and have none."""
    return [
        path.as_posix()
        for path in modules_below(root)
        if not _is_exempt(path) and not (root / "tests" / path.parent / f"test_{path.name}").is_file()
    ]


def _is_exempt(path: Path) -> bool:
    return path.name in EXEMPT or (path.name == "cards.py" and path.parts[0] in PLUGINS)


def test_every_module_has_a_test_file_of_its_name() -> None:
    assert untested(ROOT) == []


def test_what_is_exempt_is_tested_where_it_says() -> None:
    places = ", ".join([*EXEMPT.values(), *CARDS_OF_PLUGINS]).split(", ")
    assert all((ROOT / place.split(" ")[0].rstrip(",")).is_file() for place in places if place.startswith("tests/"))


def test_every_test_file_in_a_room_has_a_test() -> None:
    rooms = {path.parts[0] for path in modules_below(ROOT) if len(path.parts) > 1}
    files = [path for room in rooms for path in (ROOT / "tests" / room).rglob("test_*.py")]
    assert [path.name for path in files if "def test_" not in path.read_text(encoding="utf-8")] == []
    assert len(files) > 100


@pytest.mark.parametrize(
    ("made", "missing"),
    [
        ("audiossl/core/files.py", "core/files.py"),
        ("upstreams/tera/model.py", "upstreams/tera/model.py"),
        ("upstreams/tera/cards.py", None),
        ("audiossl/encoders/waveform/cards.py", "encoders/waveform/cards.py"),
        ("audiossl/core/__init__.py", None),
    ],
)
def test_a_module_without_a_test_file_is_named(tmp_path: Path, made: str, missing: str | None) -> None:
    path = tmp_path / made
    path.parent.mkdir(parents=True)
    path.touch()
    assert untested(tmp_path) == ([missing] if missing else [])
    if missing:
        test = tmp_path / "tests" / Path(missing).parent / f"test_{path.name}"
        test.parent.mkdir(parents=True)
        test.touch()
        assert untested(tmp_path) == []
