"""Tables that a task gave to an evaluation, as the page shows them: text, numbers, players and aligned words."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import soundfile

from audiossl.core.errors import AudioError
from audiossl.data.reading import audio_facts, read_audio

_log = logging.getLogger(__name__)
MOST_PLAYED_S = 30.0
MOST_PLAYERS = 30  # on a page: sound is most of its size


class Shown(NamedTuple):
    """A cell.

    kind: text, number, audio or words.
    value: what the template prints (an address, pairs of words).
    remark: what is said beside it.
    """

    kind: str
    value: Any
    remark: str = ""


class Players:
    """Sound for the page, as addresses that need no file. The first `most` parts of recordings have one."""

    def __init__(self, most: int = MOST_PLAYERS) -> None:
        self.left = most

    def cell(self, place: Mapping[str, Any]) -> Shown:
        """A player of a part of a file, or a remark where there can be none."""
        if self.left <= 0:
            return Shown("text", "", "no room for more players")
        path, start_s = str(place["path"]), float(place.get("start_s") or 0.0)
        duration_s = place.get("duration_s")
        cut = duration_s is None or float(duration_s) > MOST_PLAYED_S
        # A report is often made later and elsewhere: sound that is gone is no error.
        try:
            facts = audio_facts(path)
            whole_s = facts.num_samples / facts.sample_rate_hz - start_s
            played_s = min(whole_s if duration_s is None else float(duration_s), MOST_PLAYED_S)
            rate = facts.sample_rate_hz
            sound = read_audio(path, start_s=start_s, duration_s=played_s, sample_rate_hz=rate)
        except AudioError as error:
            _log.warning("No player in the report: %s", error)
            return Shown("text", "", "the recording cannot be read any more")
        # FLAC within the page, which then needs no file beside it.
        self.left -= 1
        buffer = io.BytesIO()
        soundfile.write(buffer, sound, rate, format="FLAC", subtype="PCM_16")
        address = "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        beginning = cut and whole_s > MOST_PLAYED_S
        return Shown("audio", address, f"first {MOST_PLAYED_S:g} s" if beginning else "")


def shown_tables(tables: Sequence[Mapping[str, Any]], players: Players) -> list[dict[str, Any]]:
    """Tables of metrics.json for the template: title, note, header, rows of `Shown`, and which columns are numbers."""
    return [
        {
            "title": str(table.get("title", "")),
            "note": str(table.get("note") or ""),
            "header": [str(name) for name in table.get("header", [])],
            "rows": [[_shown(cell, players) for cell in row] for row in table.get("rows", [])],
        }
        for table in tables
    ]


def _shown(cell: Any, players: Players) -> Shown:
    if isinstance(cell, Mapping):
        if "audio" in cell:
            place = cell["audio"] if isinstance(cell["audio"], Mapping) else {**cell, "path": cell["audio"]}
            return players.cell(place)
        if "words" in cell:
            return Shown("words", [(str(pair[0]), str(pair[1])) for pair in cell["words"]])
        return Shown("text", str(dict(cell)))
    if isinstance(cell, bool) or cell is None:
        return Shown("text", "" if cell is None else "yes" if cell else "no")
    if isinstance(cell, int | float):
        return Shown("number", f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}")
    return Shown("text", str(cell))
