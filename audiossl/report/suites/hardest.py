"""The items of a task that most encoders get wrong: where a corpus, rather than an encoder, may be at fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from audiossl.report.cells import Players, Shown
from audiossl.report.estimates import Row, is_right
from audiossl.report.runs import Evaluation

NUM_HARDEST = 10


class HardItem(NamedTuple):
    """An item and who got it wrong.

    name: its id.
    target: what is right.
    said: each wrong answer, and who gave it.
    num_wrong: how many encoders did.
    num_errors: words that all of them got wrong, None where an item is right or wrong as a whole.
    speaker: '' where it is not known.
    sound: a player, None where the place of the sound is not known.
    """

    name: str
    target: str
    said: list[tuple[str, list[str]]]
    num_wrong: int
    num_errors: int | None
    speaker: str
    sound: Shown | None


def hardest_items(evaluations: Mapping[str, Evaluation], players: Players) -> list[HardItem]:
    """Items that at least two encoders, and at least half of them, get wrong. The worst first. Trials have none.

    evaluations: by encoder.
    players: the sound that the page has room for.
    """
    tables = {name: found.comparable() for name, found in evaluations.items()}
    first = next(iter(tables.values()), {})
    common = [name for name in first if all(name in rows and "predicted" in rows[name] for rows in tables.values())]
    found = []
    for name in common:
        rows = {encoder: each[name] for encoder, each in tables.items()}
        wrong = {encoder: row for encoder, row in rows.items() if not is_right(row)}
        if len(wrong) > 1 and 2 * len(wrong) >= len(rows):
            found.append((name, rows, wrong))
    found.sort(key=lambda item: (-_errors(item[1]), -len(item[2]), item[0]))
    return [_item(name, rows, wrong, players) for name, rows, wrong in found[:NUM_HARDEST]]


def _item(name: str, rows: Mapping[str, Row], wrong: Mapping[str, Row], players: Players) -> HardItem:
    one = next(iter(rows.values()))
    counted = all("num_errors" in row for row in rows.values())
    answers: dict[str, list[str]] = {}
    for encoder, row in wrong.items():
        answers.setdefault(_text(row["predicted"]), []).append(encoder)
    place: Any = next((row["audio"] for row in rows.values() if row.get("audio")), None)
    return HardItem(
        name=name,
        target=_text(one["target"]),
        said=list(answers.items()),
        num_wrong=len(wrong),
        num_errors=int(_errors(rows)) if counted else None,
        speaker=str(one.get("speaker") or ""),
        sound=players.cell(place) if place else None,
    )


def _errors(rows: Mapping[str, Row]) -> float:
    return float(sum(row.get("num_errors") or 0 for row in rows.values()))


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else str(value)
