"""CTM files, what forced aligners write: `ID CHANNEL START DURATION LABEL [CONFIDENCE]` a line, times in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audiossl.core.errors import LabelError
from audiossl.data.tables import numbered_lines, read_text


@dataclass(frozen=True)
class CtmAlignment:
    """The labelled stretches of one recording, in the order of their starts.

    starts_s: (N,) seconds.
    ends_s: (N,) seconds.
    labels: N of them.
    fields: N mappings of what else is known of each, or none where nothing is.
    """

    starts_s: npt.NDArray[np.float64]
    ends_s: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    fields: tuple[Mapping[str, str], ...] = ()

    def at(self, times_s: npt.NDArray[np.float64]) -> list[str | None]:
        """The label of each moment. None where there is none.

        >>> CtmAlignment(np.array([0.0, 0.5]), np.array([0.4, 1.0]), ("a", "b")).at(np.array([0.1, 0.45, 0.5, 1.0]))
        ['a', None, 'b', None]
        """
        places = np.searchsorted(self.starts_s, times_s, side="right") - 1
        inside = (places >= 0) & (times_s < self.ends_s[places.clip(min=0)])
        return [self.labels[place] if known else None for place, known in zip(places, inside, strict=True)]


def read_ctm(path: Path) -> dict[str, CtmAlignment]:
    """The alignments of a file by the ids of their recordings.

    Lines that begin with two semicolons are comments, as ever. Raises LabelError for any other line without five fields
    or with times that are none, ManifestError for a file that cannot be read.
    """
    found: dict[str, list[tuple[float, float, str]]] = {}
    for where, line in numbered_lines(path, read_text(path, "alignment")):
        if line.lstrip().startswith(";;"):
            continue
        fields = line.split()
        try:
            name, _, start, duration, label, *_ = fields
            begin, lasting = float(start), float(duration)
        except ValueError as error:
            raise LabelError(
                f"{where} must be `ID CHANNEL START DURATION LABEL`, not {line.strip()[:80]!r}."
            ) from error
        if not (math.isfinite(begin) and math.isfinite(lasting) and lasting >= 0):
            raise LabelError(f"{where}: start {start} and duration {duration} must be numbers of seconds.")
        found.setdefault(name, []).append((begin, begin + lasting, label))
    if not found:
        raise LabelError(f"{path} has no line with a label; give the alignment of the recordings.")
    return {name: _alignment(parts) for name, parts in found.items()}


def _alignment(parts: list[tuple[float, float, str]]) -> CtmAlignment:
    starts, ends, labels = zip(*sorted(parts), strict=True)
    return CtmAlignment(np.array(starts), np.array(ends), labels)
