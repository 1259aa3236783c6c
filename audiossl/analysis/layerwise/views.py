"""What layers are compared with, as a user names it, and the values that it has for each segment or recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.fields import known_fields, read_field
from audiossl.data.segments import Segment, read_segments
from audiossl.metrics.clusters import Floats, Ints
from audiossl.nn.draws import keyed_generator

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

LAYERS, MEL = "layers", "mel"
_SHORT = {"speakers": "column:speaker", "calls": "calls="}
_FORM = "layers, mel, speakers, column:NAME, calls, phones, words, or NAME=ALIGNMENT"


class AskedView(NamedTuple):
    """One of what `--with` names.

    name: what it is called.
    kind: frames (another layer, log mel), column, or segments.
    source: the column, or the alignment of the segments.
    """

    name: str
    kind: str
    source: str = ""


class ViewItems(NamedTuple):
    """N segments, of which each has a value: a view of as many vectors as layers have of them.

    name: what they are called.
    segments: N of them. Of a column, whole recordings.
    values: (N, E) one-hot labels, a number, or an embedding.
    labels: (N,) numbers of the classes, None for numbers and embeddings.
    classes: C names.
    remark: what a reader must know.
    """

    name: str
    segments: list[Segment]
    values: Floats
    labels: Ints | None
    classes: list[str]
    remark: str = ""


def parse_views(text: str) -> list[AskedView]:
    """What `--with` names, each once. Raises ConfigError.

    >>> parse_views("layers,phones=phones.ctm,column:age")[1:]
    [AskedView(name='phones', kind='segments', source='phones.ctm'), AskedView(name='age', kind='column', source='age')]
    """
    found = [_asked(part) for part in comma_list(text)]
    names = [each.name for each in found]
    if not found:
        raise ConfigError(f"--with {text!r} names nothing; choose of {_FORM}, with commas.")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ConfigError(f"--with {text}: {twice} is named twice; name each once.")
    return found


def _asked(part: str) -> AskedView:
    full = _SHORT.get(part, part)
    if full in (LAYERS, MEL):
        return AskedView(full, "frames")
    if full.startswith("column:"):
        column = full.removeprefix("column:")
        if column:
            return AskedView("speakers" if part == "speakers" else column, "column", column)
    elif "=" in full or ":" not in full:
        name, _, source = full.partition("=")
        if name:
            return AskedView(name, "segments", source if "=" in full else name)
    raise ConfigError(f"--with {part!r}: choose of {_FORM}, with commas.")


def read_items(asked: AskedView, cuts: CutSet, options: AnalyseOptions) -> ViewItems:
    """The segments or recordings of a view, with their values. Raises LabelError, ManifestError.

    asked: a column or segments.
    cuts: the rows.
    options: which labels count, and how many.
    """
    if asked.kind == "column":
        return _of_column(asked, list(cuts))
    field = asked.name if asked.source else "label"
    how: Any = {"field": field, "ignored": options.ignored, "partial": options.partial, "where": "--data"}
    found = read_segments(cuts, asked.source, **how)
    counts = Counter(each.label for each in found)
    frequent = {name for name, count in counts.most_common(options.most_classes) if count >= options.least_items}
    if len(frequent) < 2:
        raise LabelError(
            f"{asked.name} has {len(frequent)} label(s) with at least {options.least_items} segments, and two are "
            f"needed to compare; give more recordings, or lower --least-items."
        )
    kept = [each for each in found if each.label in frequent]
    left_out = len(found) - len(kept)
    remark = f"{left_out} of {len(found)} segments have rarer labels and are left out" if left_out else ""
    return _labelled(asked.name, _drawn(kept, options), remark)


def _drawn(segments: list[Segment], options: AnalyseOptions) -> list[Segment]:
    """All segments, or so many drawn by where they are, in their order."""
    if len(segments) <= options.most_items:
        return segments
    keys = [_key(each, options.seed) for each in segments]
    chosen = np.sort(np.argsort(keys, kind="stable")[: options.most_items])
    return [segments[place] for place in chosen]


def _key(segment: Segment, seed: int) -> float:
    draw = keyed_generator(seed, segment.recording, f"{segment.start_s:.4f}", "segment")
    return float(torch.rand((), dtype=torch.float64, generator=draw))


def _labelled(name: str, segments: list[Segment], remark: str = "") -> ViewItems:
    classes = sorted({each.label for each in segments})
    number = {label: place for place, label in enumerate(classes)}
    labels = np.array([number[each.label] for each in segments], dtype=np.int64)
    return ViewItems(name, segments, np.eye(len(classes))[labels], labels, classes, remark)


def _of_column(asked: AskedView, cuts: Sequence[Cut]) -> ViewItems:
    """Whole recordings, with what a column says of each: classes, a number, or an embedding."""
    raw = [_raw(cut, asked.source) for cut in cuts]
    texts = [read_field(cut, asked.source) for cut in cuts]
    if lacking := [cut.id for cut, value, text in zip(cuts, raw, texts, strict=True) if value is None and text is None]:
        known = ", ".join(known_fields(cuts)) or "none"
        raise LabelError(
            f"{len(lacking)} of {len(cuts)} rows of --data have nothing in the column {asked.source!r}, {lacking[0]} "
            f"for instance; what there is: {known}."
        )
    segments = [
        Segment(str(cut.id), 0.0, float(cut.duration), text or "", read_field(cut, "speaker"))
        for cut, text in zip(cuts, texts, strict=True)
    ]
    vectors = _vectors(raw, texts, asked.source, cuts)
    if vectors is not None:
        if np.ptp(vectors, axis=0).max() == 0:
            raise LabelError(f"The column {asked.source!r} has one value in all rows, and nothing to compare with.")
        return ViewItems(asked.name, segments, vectors, None, [])
    if len(set(texts)) < 2:
        raise LabelError(
            f"The column {asked.source!r} has one class, {texts[0]!r}, and two are needed to compare; give recordings "
            f"of others too."
        )
    return _labelled(asked.name, segments)


def _raw(cut: Cut, column: str) -> Any:
    """A list of numbers or a stored array in a row's own columns. None for anything else."""
    custom = (cut.supervisions[0].custom or {}) if cut.supervisions else {}
    value = {**custom, **(cut.custom or {})}.get(column)
    if isinstance(value, list | tuple | int | float) and not isinstance(value, bool):
        return value
    load = getattr(value, "load", None)  # of an array that lhotse has stored
    return load() if load is not None else None


def _vectors(raw: Sequence[Any], texts: Sequence[str | None], column: str, cuts: Sequence[Cut]) -> Floats | None:
    """(N, E) where all rows have numbers. None where one has text."""
    given = [text if value is None else value for value, text in zip(raw, texts, strict=True)]
    try:
        rows = [np.atleast_1d(np.asarray(value, dtype=np.float64)).ravel() for value in given]
    except (TypeError, ValueError):
        return None
    widths = [len(row) for row in rows]
    wrong = next((place for place, row in enumerate(rows) if len(row) != widths[0] or not np.isfinite(row).all()), None)
    if wrong is not None:
        raise LabelError(
            f"The column {column!r} has {widths[0]} number(s) in row {cuts[0].id} and others in row {cuts[wrong].id}; "
            f"give each row as many, all finite."
        )
    return np.stack(rows)
