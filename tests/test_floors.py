"""The house has floors: an import goes down or stays in its own room, wherever in a file it stands.

What stands in functions and under TYPE_CHECKING counts as well: an arrow up that is hidden is an arrow up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import pytest
from toys.core import ROOT
from toys.sources import PICTURE, SOURCES

FLOORS: tuple[str, ...] = PICTURE["FLOORS"]
imports_of: Callable[[Mapping[str, str]], Iterator[Any]] = PICTURE["imports_of"]
room_of: Callable[[str], str] = PICTURE["room_of"]
FLOOR = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms.split()}
PLUGINS = ("interfaces", "objectives", "upstreams", "downstreams")
MOST_ROOMS = 12


def arrows_up(sources: Mapping[str, str]) -> list[str]:
    """Imports of a higher floor, of another room on the same floor, or of the package as a whole."""
    wrong = []
    for found in imports_of(sources):
        here, there = room_of(found.module), room_of(found.target)
        if here and here != there and FLOOR.get(there, len(FLOORS) + 1) >= FLOOR.get(here, 0):
            wrong.append(f"{found.module}, line {found.line}: {here} imports {found.target}")
    return wrong


def circle(sources: Mapping[str, str]) -> list[str]:
    """The modules of one circle of imports; [] where there is none."""
    graph: dict[str, set[str]] = {}
    for found in imports_of(sources):
        graph.setdefault(found.module, set()).add(found.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def late_imports(sources: Mapping[str, str]) -> list[str]:
    """Imports in functions that are not there for the time that a command takes to start."""
    return [
        f"{found.module}, line {found.line}: {found.target}"
        for found in imports_of(sources)
        if found.late and not _may_be_late(found)
    ]


def _may_be_late(found: Any) -> bool:
    """Commands import when they run, and figures are drawn by a library that takes a second to load."""
    room = room_of(found.module)
    is_command = room == "cli" or (room in PLUGINS and found.module.split(".")[-1] == "cli")
    return is_command or room == "" or "figures" in found.target.split(".")


def test_every_module_is_looked_at() -> None:
    assert {"audiossl", "audiossl.core.files", "audiossl.interfaces.pca.interface"} <= SOURCES.keys()
    assert {"audiossl.upstreams.tera.model", "audiossl.downstreams.asr.task"} <= SOURCES.keys()
    assert {room_of(module) for module in SOURCES} - {""} == FLOOR.keys()
    assert len(list(imports_of(SOURCES))) > 500


def test_imports_go_down_or_stay_in_their_room() -> None:
    assert arrows_up(SOURCES) == []


def test_there_is_no_circle() -> None:
    assert circle(SOURCES) == []


def test_nothing_is_imported_late_but_for_the_start_of_a_command() -> None:
    assert late_imports(SOURCES) == []


def test_the_top_of_the_package_holds_rooms_and_little_else() -> None:
    names = {path.name for path in (ROOT / "audiossl").iterdir() if path.name != "__pycache__"}
    others = {*PLUGINS, "recipes", "__init__.py", "__main__.py", "py.typed"}  # recipes are data: scripts and settings
    assert others <= names
    rooms = names - others
    assert [name for name in rooms if not (ROOT / "audiossl" / name / "__init__.py").is_file()] == []
    assert len(rooms) <= MOST_ROOMS


LIST = """
import runpy
sys.argv = ["audiossl", "list"]
try:
    runpy.run_module("audiossl", run_name="__main__")
except SystemExit as stop:
    assert not stop.code
"""
CORE = sorted(path.stem for path in (ROOT / "audiossl" / "core").glob("*.py") if path.stem != "tensors")


@pytest.mark.parametrize(
    "statement",
    [
        "\n".join(f"import audiossl.core.{name}" for name in CORE),
        "import audiossl.data.manifests",
        "import audiossl.features.config",
        LIST,
    ],
    ids=["core but tensors", "manifests", "settings of the cache", "list"],
)
def test_what_is_needed_at_every_start_loads_no_torch(statement: str) -> None:
    program = f"import sys\n{statement}\nprint('loaded:', sorted({{'torch', 'torchaudio'}} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.endswith("loaded: []\n"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("audiossl.core.files", "from audiossl.data import manifests"),
        ("audiossl.data.manifests", "import audiossl.experiments.run"),
        ("audiossl.data.manifests", "from ..experiments.run import Run"),
        ("audiossl.data.manifests", "if TYPE_CHECKING:\n    from audiossl.experiments.run import Run"),
        ("audiossl.data.manifests", "def later() -> None:\n    from audiossl.encoders.loading import load_upstream"),
        ("audiossl.features.store", "from audiossl.training.task import Task"),  # sideways
        ("audiossl.report.build", "from audiossl.downstreams.asr.task import Asr"),  # sideways, to a plug-in
        ("audiossl.upstreams.tera.model", "from audiossl.interfaces.pca.interface import Pca"),
        ("audiossl.interfaces.pca.interface", "from audiossl import load_upstream"),  # the package as a whole
    ],
)
def test_an_import_that_is_turned_round_is_reported(module: str, line: str) -> None:
    changed = {**SOURCES, module: f"{SOURCES[module]}\n{line}\n"}
    (found,) = set(arrows_up(changed)) - set(arrows_up(SOURCES))
    assert found.startswith(f"{module}, line {changed[module].count(chr(10))}: ")


@pytest.mark.parametrize("line", ["import audiossl.core.config", "from audiossl.core.errors import ConfigError"])
def test_an_import_that_goes_down_is_not(line: str) -> None:
    changed = {**SOURCES, "audiossl.data.manifests": f"{SOURCES['audiossl.data.manifests']}\n{line}\n"}
    assert arrows_up(changed) == arrows_up(SOURCES)


def test_a_circle_is_reported_even_within_a_room_and_through_functions() -> None:
    tree = {
        "audiossl.core.a": "from audiossl.core import b",
        "audiossl.core.b": "def later():\n    from audiossl.core.c import d",
        "audiossl.core.c": "from audiossl.core.errors import e",
        "audiossl.core": "",
    }
    assert circle(tree) == []
    tree["audiossl.core.c"] = "if TYPE_CHECKING:\n    from .a import x"
    assert sorted(set(circle(tree))) == ["audiossl.core.a", "audiossl.core.b", "audiossl.core.c"]
    assert arrows_up(tree) == []


def test_a_late_import_is_reported_where_it_may_not_be() -> None:
    late = "def later():\n    from audiossl.core.files import x"
    allowed = ("audiossl.cli.data", "audiossl.downstreams.asr.cli", "audiossl")
    assert late_imports({**dict.fromkeys(allowed, late), "audiossl.core.files": ""}) == []
    for module in ("audiossl.data.manifests", "audiossl.experiments.cli", "audiossl.downstreams.asr.task"):
        assert late_imports({module: late}) == [f"{module}, line 2: audiossl.core.files"]
    figures = "def draw():\n    from audiossl.downstreams.asr.figures import x"
    assert late_imports({"audiossl.downstreams.asr.task": figures}) == []
    under_type_checking = "if TYPE_CHECKING:\n    from audiossl.core.files import x"
    assert late_imports({"audiossl.data.manifests": under_type_checking}) == []
