"""Windows of an archive that are worth annotating next, by what a run makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiossl.analysis.archive.vectors import repeated
from audiossl.analysis.selection import select, uncertainty
from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.archive import archive_windows
from audiossl.data.config import SuggestOptions
from audiossl.data.reading import path_of
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.run import Run
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse.cut import Cut

UNKNOWN = "?"
_TOUCHED = 0.5  # share of a window from which on an annotation counts as one of it


def suggest(run: Run, inputs: Sequence[str], options: SuggestOptions, done: Sequence[Path] = ()) -> list[Annotation]:
    """The windows to annotate next, the first one first.

    run: of a task that gives scores of classes.
    inputs: sound files, folders, patterns or manifests.
    options: windows, how many, and by what.
    done: annotation tables of earlier rounds, whose windows are left out, and from which what is chosen differs.
    Returns annotations with the run's guess as label, `UNKNOWN` where it hears nothing, and uncertainty as score.
    Raises ConfigError for a task without scores and for windows that are longer than those of training.
    """
    if isinstance(run, FoldedRun):
        first = sorted(run.folds)[0]
        raise ConfigError(
            f"{run.folder} is a cross-validation, whose folds are sure of different things; suggest by one of them, "
            f"for instance {run.folds[first].folder}."
        )
    longest_s = run.task.longest_s
    if longest_s is not None and options.window_s > longest_s + 1e-6:
        raise ConfigError(
            f"--window-s {options.window_s:g}: {run.folder} was trained on windows of at most {longest_s:g} s; take "
            f"--window-s {longest_s:g}."
        )
    cuts = archive_windows(inputs, options, run.task.upstream.sample_rate_hz)
    rows = list(cuts)
    if twice := repeated([cut.id for cut in rows]):
        raise ManifestError(f"Two windows of the archive have the id {twice!r}; give recordings ids of their own.")
    annotated = _annotated(rows, done)
    if all(annotated):
        raise ConfigError("All windows of the archive are annotated already; there is nothing to suggest.")
    predicted = run.predict_with_vectors(cuts)
    found = [predicted[cut.id] for cut in rows]
    if not isinstance(found[0].row.get("scores"), list):
        raise ConfigError(
            f"{run.folder} is a run of {type(run.task).__name__}, whose predictions have no scores of classes; suggest "
            f"by one of a classifier, bioacoustics or bioacoustic_windows."
        )
    scores: Floats = np.array([each.row["scores"] for each in found])
    unsure = uncertainty(scores, options.by, one_label=isinstance(found[0].row["predicted"], str))
    vectors = _standardised(np.stack([each.vector for each in found]))
    known = np.array(annotated)
    left = np.flatnonzero(~known)
    chosen = select(unsure[left], vectors[left], options.num, pool=options.pool, known=vectors[known])
    return [
        _annotation(rows[place], found[place].row["predicted"], float(unsure[place]), rank)
        for rank, place in enumerate(left[chosen], start=1)
    ]


def _standardised(vectors: Floats) -> Floats:
    """Columns that vary little tell as much as others."""
    std = vectors.std(axis=0)
    return np.asarray((vectors - vectors.mean(axis=0)) / np.where(std > 1e-8, std, 1.0))


def _annotation(cut: Cut, predicted: str | Sequence[str], score: float, rank: int) -> Annotation:
    guess = predicted if isinstance(predicted, str) else "|".join(predicted)
    place = Annotation(round(float(cut.start), 6), round(float(cut.end), 6), guess or UNKNOWN, path_of(cut) or cut.id)
    return replace(place, score=round(score, 4), fields={"rank": str(rank)})


def _annotated(rows: Sequence[Cut], done: Sequence[Path]) -> list[bool]:
    """Whether each window is annotated: at least half of it, or of the annotation where that is shorter.

    Raises ManifestError for a table that cannot be read, or of which no recording is one of the archive's.
    """
    spans: dict[str, list[Annotation]] = defaultdict(list)
    names = {Path(path).name for cut in rows if (path := path_of(cut))}
    for table in done:
        read = read_annotations(table)
        # Raven's tables have the name of the file alone.
        for row in read:
            spans[Path(row.path).name].append(row)
        if read and not any(Path(row.path).name in names for row in read):
            raise ManifestError(
                f"No recording of {table} is in the archive; name the tables of this archive as --done."
            )
    return [any(_shares(cut, row) for row in spans.get(Path(path_of(cut) or "").name, [])) for cut in rows]


def _shares(cut: Cut, row: Annotation) -> bool:
    shared = min(float(cut.end), row.end_s) - max(float(cut.start), row.start_s)
    return shared >= _TOUCHED * min(float(cut.duration), row.end_s - row.start_s) - 1e-6
