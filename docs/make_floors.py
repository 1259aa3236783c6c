"""The picture of the floors, drawn from the imports of the code. `python docs/make_floors.py` writes docs/floors.svg.

A line from a room to a lower one stands for at least one import at any depth of the code. What a room is for is the
first sentence of its package. tests/test_floors.py holds the direction of the imports, tests/docs/test_make_floors.py
that the picture in the repository is that of the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = (
    "core",
    "data nn metrics",
    "encoders",
    "features training",
    "interfaces objectives experiments analysis upstreams",
    "report downstreams",
    "cli",
)  # from the lowest; an import goes down or stays in its room
_WIDTH, _ROW, _BOX, _LEFT = 1240, 128, 92, 60


def modules_of(root: Path = ROOT) -> dict[str, str]:
    """The text of every module of the package, by its name; upstreams and downstreams lie beside it."""
    folders = [root / "audiossl", root / "upstreams", root / "downstreams"]
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            if any(parent.is_symlink() for parent in path.parents):
                continue
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts if parts[0] == "audiossl" else ("audiossl", *parts)).removesuffix(".__init__")
            found[name] = path.read_text(encoding="utf-8")
    return found


def imports_of(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """By module, what of the package it imports, in functions and for the type checker too."""
    return {name: set(_imported(ast.parse(text), modules)) for name, text in modules.items()}


def room_of(module: str) -> str:
    """The room of a module; '' for the package itself and for what lies beside the rooms.

    >>> room_of("audiossl.data.stream"), room_of("audiossl"), room_of("audiossl.__main__")
    ('data', '', '')
    """
    rooms = {room for floor in FLOORS for room in floor.split()}
    room = module.split(".")[1] if "." in module else ""
    return room if room in rooms else ""


def arrows_of(imports: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """(room, lower room) wherever a module of the one imports a module of the other."""
    pairs = {(room_of(name), room_of(other)) for name, others in imports.items() for other in others}
    return {(room, other) for room, other in pairs if room and other and room != other}


def draw(modules: Mapping[str, str]) -> str:
    """The picture as SVG."""
    places = _places()
    arrows = sorted(arrows_of(imports_of(modules)))
    height = _ROW * len(FLOORS) - (_ROW - _BOX) + 28
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        "<style>text{fill:#222} .why{font-size:11px;fill:#555} .room{font-size:15px;font-weight:600}"
        " .in{font-size:10.5px;fill:#1b6ca8} .floor{font-size:12px;fill:#777}"
        " path{fill:none;stroke:#1b6ca8;stroke-opacity:.28;stroke-width:1.2}"
        " rect{fill:#fff;stroke:#1b6ca8;stroke-width:1.2}</style>",
        f'<rect width="{_WIDTH}" height="{height}" style="fill:#fbfbf8;stroke:none"/>',
    ]
    lines += [_curve(places[room], places[other]) for room, other in arrows]
    for number, floor in enumerate(FLOORS, start=1):
        y = _top(number) + _BOX / 2
        lines.append(f'<text class="floor" x="8" y="{y:.0f}">floor {number}</text>')
        for room in floor.split():
            lines += _box(room, places[room], modules)
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    (ROOT / "docs" / "floors.svg").write_text(draw(modules_of()), encoding="utf-8")


def _imported(tree: ast.Module, modules: Mapping[str, str]) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "audiossl":
            # `from package import module` names the module, not the package.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name in modules else str(node.module) for name in names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] == "audiossl"]
    return found


def _top(floor: int) -> float:
    return 14 + _ROW * (len(FLOORS) - floor)


def _places() -> dict[str, tuple[float, float, float]]:
    """By room, left, top and width of its box."""
    places = {}
    for number, floor in enumerate(FLOORS, start=1):
        rooms = floor.split()
        share = (_WIDTH - _LEFT) / len(rooms)
        width = min(share - 16, 340)
        for place, room in enumerate(rooms):
            places[room] = (_LEFT + share * place + (share - width) / 2, _top(number), width)
    return places


def _curve(upper: tuple[float, float, float], lower: tuple[float, float, float]) -> str:
    x, y, to_x, to_y = upper[0] + upper[2] / 2, upper[1] + _BOX, lower[0] + lower[2] / 2, lower[1]
    bend = (to_y - y) / 2
    return f'<path d="M{x:.0f} {y:.0f}C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"/>'


def _box(room: str, place: tuple[float, float, float], modules: Mapping[str, str]) -> list[str]:
    """A room: its name, what it is for, and what is in it."""
    x, y, width = place
    said = ast.get_docstring(ast.parse(modules[f"audiossl.{room}"])) or ""
    first = re.split(r"\.(?:\s|$)", " ".join(said.split()))[0]
    inside = sorted({name.split(".")[2] for name in modules if name.startswith(f"audiossl.{room}.")})
    most = int((width - 16) / 5.6)
    lines = [f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX}" rx="6"/>']
    lines.append(f'<text class="room" x="{x + 10:.0f}" y="{y + 19:.0f}">{room}</text>')
    for kind, start, text in (("why", 33, first), ("in", 60, " ".join(inside))):
        for number, part in enumerate(_wrapped(text, most, 2 if kind == "why" else 3)):
            lines.append(
                f'<text class="{kind}" x="{x + 10:.0f}" y="{y + start + 12 * number:.0f}">{escape(part)}</text>'
            )
    return lines


def _wrapped(text: str, most: int, num_lines: int) -> list[str]:
    """Lines of at most so many characters; what does not fit ends with dots."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > num_lines:
        kept = lines[num_lines - 1]
        lines[num_lines - 1] = (kept if len(kept) + 4 <= most else kept.rpartition(" ")[0]) + " ..."
    return lines[:num_lines]


if __name__ == "__main__":
    main()
