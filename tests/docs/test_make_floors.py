"""The picture of the floors is that of the code."""

from __future__ import annotations

from toys.core import ROOT
from toys.sources import PICTURE, SOURCES


def test_the_picture_in_the_repository_is_that_of_the_code() -> None:
    drawn = PICTURE["draw"](SOURCES)
    kept = (ROOT / "docs" / "floors.svg").read_text(encoding="utf-8")
    assert drawn == kept, "run `python docs/make_floors.py`"


def test_an_import_becomes_a_line_and_a_room_says_what_is_in_it() -> None:
    rooms = [room for floor in PICTURE["FLOORS"] for room in floor.split()]
    sources = {f"audiossl.{room}": f'"""Of {room}."""' for room in rooms}
    alone = PICTURE["draw"](sources)
    assert alone.count("<path") == 0
    assert "Of encoders" in alone
    sources["audiossl.encoders.loading"] = "def load():\n    from audiossl.core import files\n"
    drawn = PICTURE["draw"](sources)
    assert PICTURE["arrows_of"](sources) == {("encoders", "core")}
    assert drawn.count("<path") == 1
    assert ">loading<" in drawn
