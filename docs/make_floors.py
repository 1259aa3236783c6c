"""The picture of the floors, drawn from the imports of the code. `python docs/make_floors.py` writes docs/floors.svg.

A line from a room to a lower one stands for at least one import at any depth of the code. What a room is for is the
first sentence of its package. tests/test_floors.py holds the direction of the imports, tests/docs/test_make_floors.py
that the picture in the repository is that of the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FLOORS = (
    "core",
    "data nn metrics",
    "encoders",
    "features training",
    "analysis",
    "interfaces objectives experiments upstreams",
    "report downstreams",
    "demo",
    "cli",
)  # from the lowest; an import goes down or stays in its room
_WIDTH, _ROW, _BOX, _LEFT = 1240, 128, 92, 60


class Import(NamedTuple):
    """One import of audiossl's own code. late: it stands in a function."""

    module: str
    target: str
    line: int
    late: bool


def sources_of(root: Path) -> dict[str, str]:
    """The text of every module of the package by its name, plug-ins under the names by which they are imported."""
    found = {}
    for top in ("audiossl", "upstreams", "downstreams"):
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if top == "audiossl" and parts[1] in ("upstreams", "downstreams", "recipes"):
                continue  # links to the folders of these names
            parts = parts if top == "audiossl" else ("audiossl", *parts)
            found[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def imports_of(sources: Mapping[str, str]) -> Iterator[Import]:
    """Every import of one module of `sources` by another, at any depth of the code."""
    for module, text in sources.items():
        yield from _walked(module, ast.parse(text), sources, late=False)


def _walked(module: str, node: ast.AST, sources: Mapping[str, str], *, late: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in sorted(_targets(module, node, sources)):
            if target.split(".")[0] == "audiossl":
                yield Import(module, target, node.lineno, late)
    late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for child in ast.iter_child_nodes(node):
        yield from _walked(module, child, sources, late=late)


def _targets(module: str, node: ast.Import | ast.ImportFrom, sources: Mapping[str, str]) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    base = node.module or ""
    if node.level:
        is_package = any(name.startswith(f"{module}.") for name in sources)
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parts, *([base] if base else [])])
    whole = [f"{base}.{alias.name}" for alias in node.names]
    return {name if name in sources else base for name in whole}


def room_of(module: str) -> str:
    """The room of a module, '' for the package itself and what starts it."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else ""


def arrows_of(sources: Mapping[str, str]) -> set[tuple[str, str]]:
    """(room, lower room) wherever a module of the one imports a module of the other."""
    pairs = {(room_of(found.module), room_of(found.target)) for found in imports_of(sources)}
    return {(room, other) for room, other in pairs if room and other and room != other}


def draw(sources: Mapping[str, str]) -> str:
    """The picture as SVG."""
    places = _places()
    arrows = sorted(arrows_of(sources))
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
            lines += _box(room, places[room], sources)
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    (ROOT / "docs" / "floors.svg").write_text(draw(sources_of(ROOT)), encoding="utf-8")


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


def _box(room: str, place: tuple[float, float, float], sources: Mapping[str, str]) -> list[str]:
    """A room: its name, what it is for, and what is in it."""
    x, y, width = place
    said = ast.get_docstring(ast.parse(sources[f"audiossl.{room}"])) or ""
    first = re.split(r"\.(?:\s|$)", " ".join(said.split()))[0]
    inside = sorted({name.split(".")[2] for name in sources if name.startswith(f"audiossl.{room}.")})
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
