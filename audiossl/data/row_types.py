"""What the parts of a manifest row may be: lhotse takes any JSON for each, and would fail wherever it is used first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lhotse import Recording, SupervisionSegment
    from lhotse.cut import Cut


def wrong_part(cut: Cut) -> str:
    """The first part of a row that is not what it should be, in words. Empty for none.

    >>> from lhotse import MonoCut
    >>> wrong_part(MonoCut("a", 0.0, None, 0, []))
    'has duration null, which must be a finite number above 0'
    """
    return next(_wrong_parts(cut), "")


def _wrong_parts(cut: Cut) -> Iterator[str]:
    for track in getattr(cut, "tracks", ()):
        yield from _wrong_parts(track.cut)
    if not hasattr(cut, "recording") or hasattr(cut, "tracks"):  # silence between sounds, or what its parts have said
        return
    yield from _wrong_text("id", cut.id, needed=True)
    yield from _wrong_number("start", cut.start)
    yield from _wrong_number("duration", cut.duration, above=0)
    yield from _wrong_channels("channel", cut.channel if isinstance(cut.channel, list) else [cut.channel])
    if cut.recording is not None:
        yield from _wrong_recording(cut.recording)
    if not isinstance(cut.supervisions, list):
        yield f"has supervisions {_shown(cut.supervisions)}, which must be a list"
        return
    for supervision in cut.supervisions:
        yield from _wrong_supervision(supervision)
    if not isinstance(cut.custom or {}, dict):
        yield f"has custom {_shown(cut.custom)}, which must be a mapping"


def _wrong_recording(recording: Recording) -> Iterator[str]:
    yield from _wrong_text("recording id", recording.id, needed=True)
    if not (_is_whole(recording.sampling_rate) and recording.sampling_rate > 0):
        yield f"has sampling_rate {_shown(recording.sampling_rate)}, which must be a whole number above 0"
    if not (_is_whole(recording.num_samples) and recording.num_samples >= 0):
        yield f"has num_samples {_shown(recording.num_samples)}, which must be a whole number"
    yield from _wrong_number("recording duration", recording.duration)
    for source in recording.sources:
        yield from _wrong_text("source", source.source)
        yield from _wrong_channels("channels of a source", source.channels)
    if recording.channel_ids is not None:
        yield from _wrong_channels("channel_ids", recording.channel_ids)


def _wrong_supervision(supervision: SupervisionSegment) -> Iterator[str]:
    yield from _wrong_text("supervision id", supervision.id, needed=True)
    yield from _wrong_number("supervision start", supervision.start)
    yield from _wrong_number("supervision duration", supervision.duration)
    for name in ("text", "speaker", "language", "gender"):
        yield from _wrong_text(name, getattr(supervision, name))
    if not isinstance(supervision.custom or {}, dict):
        yield f"has custom {_shown(supervision.custom)}, which must be a mapping"


def _wrong_text(name: str, value: Any, *, needed: bool = False) -> Iterator[str]:
    if value is None and not needed:
        return
    if not isinstance(value, str) or (needed and not value):
        yield f"has {name} {_shown(value)}, which must be text"
    elif "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        yield f"has {name} {_shown(value)}, which holds what is no character of a text"


def _wrong_number(name: str, value: Any, above: float | None = None) -> Iterator[str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or abs(value) > 1e9 or (above is not None and value <= above):
        needed = "a finite number" if above is None else f"a finite number above {above:g}"
        yield f"has {name} {_shown(value)}, which must be {needed}"


def _wrong_channels(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not value or not all(_is_whole(each) and each >= 0 for each in value):
        yield f"has {name} {_shown(value)}, which must be whole numbers"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value < 2**63


def _shown(value: Any) -> str:
    """As JSON shows it, short."""
    text = "null" if value is None else ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
