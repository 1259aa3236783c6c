"""The picture of the floors is that of the code."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
from toys.core import ROOT


@pytest.fixture(scope="module")
def floors() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_floors.py"))


def test_the_picture_in_the_repository_is_that_of_the_code(floors: dict[str, Any]) -> None:
    drawn = floors["draw"](floors["sources_of"](ROOT))
    kept = (ROOT / "docs" / "floors.svg").read_text(encoding="utf-8")
    assert drawn == kept, "run `python docs/make_floors.py`"


def test_an_import_becomes_a_line_and_a_room_says_what_is_in_it(floors: dict[str, Any]) -> None:
    rooms = [room for floor in floors["FLOORS"] for room in floor.split()]
    sources = {f"audiossl.{room}": f'"""Of {room}."""' for room in rooms}
    alone = floors["draw"](sources)
    assert alone.count("<path") == 0
    assert "Of encoders" in alone
    sources["audiossl.encoders.loading"] = "def load():\n    from audiossl.core import files\n"
    drawn = floors["draw"](sources)
    assert floors["arrows_of"](sources) == {("encoders", "core")}
    assert drawn.count("<path") == 1
    assert ">loading<" in drawn
