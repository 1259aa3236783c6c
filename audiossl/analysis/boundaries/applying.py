"""A segmenter that dev has chosen, kept as segmenter.json, on other recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.analysis.boundaries.framing import speech_of
from audiossl.analysis.boundaries.settings import CutSetting
from audiossl.analysis.boundaries.study import segments_by
from audiossl.core.errors import CheckpointError
from audiossl.core.files import write_json
from audiossl.data.segments import Segment
from audiossl.encoders.kept import load_identified
from audiossl.features.config import CacheConfig

if TYPE_CHECKING:
    from lhotse import CutSet

SEGMENTER = "segmenter.json"


@dataclass(frozen=True)
class Segmenter:
    """How boundaries are found.

    encoder: its name. options: its own.
    fingerprint: of its weights.
    layer: that is read.
    setting: of the method.
    shift_s: by which boundaries are moved.
    """

    encoder: str
    options: Mapping[str, Any]
    fingerprint: str
    layer: int
    setting: CutSetting
    shift_s: float

    def save(self, folder: Path) -> None:
        """Write segmenter.json."""
        facts: dict[str, Any] = {"encoder": self.encoder, "options": dict(self.options), "layer": self.layer}
        facts |= {"fingerprint": self.fingerprint, "setting": self.setting._asdict(), "shift_s": self.shift_s}
        write_json(folder / SEGMENTER, facts)

    @classmethod
    def load(cls, folder: Path) -> Segmenter:
        """Raises CheckpointError for a folder that `audiossl segment fit` has not written."""
        path = folder / SEGMENTER
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            setting = CutSetting.from_json(stored.pop("setting"))
            return cls(**stored, setting=setting)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"{folder} has no {SEGMENTER} that can be read ({type(error).__name__}); name a folder of `audiossl "
                f"segment fit`."
            ) from error

    def segments(self, cuts: CutSet, cache: CacheConfig | None = None) -> Iterator[tuple[Any, list[Segment]]]:
        """Each row with its segments, numbered from 1. Raises CheckpointError for an encoder that has changed."""
        encoder = load_identified(self.encoder, dict(self.options))
        if encoder.fingerprint != self.fingerprint:
            raise CheckpointError(
                f"{self.encoder} has other weights than when boundaries were chosen with it; run `audiossl segment "
                f"fit` again."
            )
        heard = {str(cut.id): speech_of(cut) for cut in cuts}
        for cut, _, found in segments_by(encoder, cuts, heard, {self.layer: [self.setting]}, cache):
            yield cut, self._shifted(found[self.setting], cut)

    def _shifted(self, spans: list[tuple[float, float]], cut: Any) -> list[Segment]:
        lasts_s = float(cut.duration)
        moved = []
        for start_s, end_s in spans:
            # The ends of the row stay where they are.
            start_s = 0.0 if start_s <= 0 else min(max(start_s + self.shift_s, 0.0), lasts_s)
            end_s = lasts_s if end_s >= lasts_s else min(max(end_s + self.shift_s, 0.0), lasts_s)
            if end_s > start_s:
                moved.append((start_s, end_s))
        return [Segment(str(cut.id), *span, str(number)) for number, span in enumerate(sorted(moved), start=1)]
