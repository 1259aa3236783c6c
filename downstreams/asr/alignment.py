"""Where in a recording each word and each unit of a known text is: the most probable path of CTC through it
(arXiv:2007.09127, without its unaligned beginning and end), written as TextGrid and CTM.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import LabelError
from audiossl.core.files import atomic_write
from audiossl.data.text import TextError
from audiossl.data.textgrid import Interval
from audiossl.data.textgrid import write_textgrid as write_tiers
from audiossl.downstreams.asr.decoding import BLANK, Clock, Span, Symbol, merge, spans_of, words_of
from audiossl.downstreams.asr.task import Asr
from audiossl.nn.alignment import align_classes, steps_needed


class Alignment(NamedTuple):
    """Tiers of a recording that lasts `duration_s`: words, and the units that they are made of."""

    words: list[Span]
    units: list[Span]
    duration_s: float
    unit: str

    @property
    def tiers(self) -> dict[str, list[Span]]:
        """Tiers by name. Only one where the units are the words (or there is nothing but phones)."""
        return (
            {self.unit: self.units}
            if self.unit in ("words", "phones")
            else {"words": self.words, self.unit: self.units}
        )


def align_text(task: Asr, cut: Cut, text: str) -> Alignment:
    """Times of a text in a recording, in the normalisation of the task. Memory grows with length times text.

    Raises LabelError for a symbol outside the units and for a text that has more units than the recording has steps.
    """
    try:
        units = task.units.encode(text)
    except TextError as problem:
        raise LabelError(
            f"The text {problem}; write it as the recogniser's training transcripts are written."
        ) from None
    with torch.no_grad():
        log_probs = torch.cat([part.cpu() for part in task.long_log_probs(cut)])  # (T, C)
    symbols = _most_probable(log_probs, [1 + unit for unit in units], float(cut.duration))
    clock = Clock.of(task.upstream, task.head.joined, float(cut.duration))
    kind = {"bpe": "pieces", "unigram": "pieces"}.get(task.config.text.kind, task.config.text.kind)
    parts = [symbol for symbol in symbols if task.units.written(symbol.unit).strip()]
    return Alignment(
        words_of(symbols, task.units, clock), spans_of(parts, task.units, clock), float(cut.duration), kind
    )


def _most_probable(log_probs: Tensor, classes: Sequence[int], duration_s: float) -> list[Symbol]:
    """log_probs (T, C), the classes of the text -> each of them with its steps."""
    num_steps, num_classes = log_probs.shape
    needed = steps_needed(classes)
    if needed > num_steps:
        raise LabelError(
            f"The text has {len(classes)} units, for which CTC needs {needed} steps, and the recording ({duration_s:g} "
            f"s) has {num_steps}; give the text of this recording alone, or a longer recording."
        )
    (path,) = align_classes(log_probs[None], torch.tensor([num_steps]), [classes], blank=BLANK)
    probabilities = log_probs.gather(1, path[:, None])[:, 0].exp()  # (T,)
    return merge(path, probabilities, num_classes - 1)


def write_textgrid(path: Path, alignment: Alignment) -> None:
    """The tiers as Praat's TextGrid."""
    tiers = {
        name: [Interval(span.start_s, span.end_s, span.text) for span in spans]
        for name, spans in alignment.tiers.items()
    }
    write_tiers(path, tiers, alignment.duration_s)


def write_ctm(path: Path, name: str, alignment: Alignment) -> None:
    """One word a line as NIST's CTM: recording, channel, start, duration, word, confidence."""
    spans = next(iter(alignment.tiers.values()))
    name = name.replace(" ", "_")
    _write(
        path,
        [
            f"{name} 1 {span.start_s:.3f} {span.end_s - span.start_s:.3f} {span.text} {span.confidence:.3f}"
            for span in spans
        ],
    )


def _write(path: Path, lines: Sequence[str]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
