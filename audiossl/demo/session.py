"""A run that answers the page: one recording at a time, and of a task that compares voices two."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudiosslError
from audiossl.data.inputs import cuts_of
from audiossl.demo.answers import MOST_S, check_length, labels_of, peaks, ranked, timeline
from audiossl.demo.neighbours import Neighbours
from audiossl.demo.uploads import Upload
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.verify import verify
from audiossl.downstreams.utterance_classification.probabilities import word_of
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.run import Run
from audiossl.metrics.clusters import Floats

_HERE = Path(__file__).parent
_STYLES = (_HERE.parent / "report" / "style.css", _HERE / "page.css")
_MOST_KEPT = 16  # vectors of recordings whose nearest items may be asked for


class Demo:
    """What the page is made of, and what it answers.

    run: what predicts. Of a cross-validation, the nearest items are those of its first fold.
    num_items: training items among which the nearest are looked for. 0 for none.
    max_mb: of a recording, in megabytes.
    """

    def __init__(self, run: Run, num_items: int = 500, max_mb: int = 100) -> None:
        self.run, self.max_mb = run, max_mb
        self._using = Lock()  # of the encoder
        single = next(iter(run.folds.values())) if isinstance(run, FoldedRun) else run
        self.neighbours = Neighbours(single, num_items, self._using)
        self._vectors: OrderedDict[str, Floats] = OrderedDict()

    @property
    def compares(self) -> bool:
        """Whether two recordings are what the task is asked about."""
        return isinstance(self.run.task, SpeakerVerification)

    def page(self) -> str:
        """The HTML of the page."""
        environment = Environment(
            loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        config = self.run.config
        facts = {
            "title": self.run.folder.resolve().name,
            "upstream": config.upstream,
            "interface": config.interface,
            "task": config.downstream.replace("_", " "),
            "compares": self.compares,
            "max_mb": self.max_mb,
            "max_minutes": round(MOST_S / 60),
            "layers": self.run.task.layer_weights(),
            "wants_items": bool(self.neighbours.most),
        }
        return environment.get_template("page.html").render(facts)

    @staticmethod
    def style() -> str:
        """The report's style, and what the page adds to it."""
        return "\n".join(path.read_text(encoding="utf-8") for path in _STYLES)

    @staticmethod
    def script() -> str:
        """The script of the page."""
        return (_HERE / "page.js").read_text(encoding="utf-8")

    def answer(self, uploads: Sequence[Upload]) -> dict[str, Any]:
        """What the page shows of a recording, and of a second one which voice is compared. It is JSON-able.

        Raises AudiosslError for what cannot be predicted, in which recordings have the names that they were sent by.
        """
        try:
            return self._answer(uploads)
        except AudiosslError as error:
            sentence = str(error)
            for upload in uploads:
                sentence = sentence.replace(str(upload.path), upload.name).replace(repr(upload.path.name), upload.name)
            raise AudiosslError(sentence) from error

    def end(self) -> None:
        """Let nothing run the encoder any more, after what runs it now: torch aborts a program that ends in between."""
        self.neighbours.stop()
        self._using.acquire()

    def nearest(self, token: str) -> dict[str, Any]:
        """The nearest training items to a recording that was answered, or how far their preparation is.

        Raises AudiosslError for a recording that is not remembered.
        """
        neighbours, vector = self.neighbours, self._vectors.get(token)
        if vector is None:
            raise AudiosslError("That recording is not remembered any more; send it again.")
        settled = neighbours.is_settled  # before the rows, which come with it
        rows = [row._asdict() for row in neighbours.nearest(vector)]
        return {"settled": settled, "sentence": neighbours.sentence, "rows": rows}

    def _answer(self, uploads: Sequence[Upload]) -> dict[str, Any]:
        cuts = [_cut_of(upload) for upload in uploads]
        first = cuts[0]
        with self._using:
            (prediction,) = self.run.predict(CutSet.from_cuts([first]))
            labels = labels_of(self.run, prediction)
            over_time = timeline(self.run, first, prediction, labels)
            token = self._remember(first)
            columns = self._verdict(uploads) if self.compares else self.run.task.columns(prediction)
        return {
            "name": uploads[0].name,
            "duration_s": round(float(first.duration), 4),
            "columns": list(columns.items()),
            "scores": ranked(labels, prediction) if labels else [],
            "score_word": word_of(prediction),
            "words": prediction.get("words", []),
            "peaks": peaks(first),
            "timeline": None if over_time is None else over_time._asdict(),
            "token": token,
        }

    def _verdict(self, uploads: Sequence[Upload]) -> dict[str, str]:
        if len(uploads) < 2:
            return {"next": "Choose a second recording, to hear whether it is the same voice."}
        verdict = verify(self.run, [str(uploads[0].path)], str(uploads[1].path))
        shown = {"score": f"{verdict.score:.4f} (cosine)"}
        if verdict.probability is None:
            return {"decision": "none: the scores of this run were never calibrated", **shown}
        said = "one speaker" if verdict.same else "two speakers"
        prior = f"that it is one speaker, if half of all pairs are (llr {verdict.llr:.2f})"
        return {"decision": said, "probability": f"{verdict.probability:.4f} {prior}", **shown}

    def _remember(self, cut: Cut) -> str:
        """A token by which the nearest items of a recording are asked for. '' where there will be none."""
        if not self.neighbours.most:
            return ""
        token = secrets.token_urlsafe(9)
        self._vectors[token] = self.neighbours.vector(cut)
        while len(self._vectors) > _MOST_KEPT:
            self._vectors.popitem(last=False)
        return token


def _cut_of(upload: Upload) -> Cut:
    """The row of a recording, whose length is one that can be waited for."""
    (cut,) = cuts_of([str(upload.path)])
    named: Cut = cut.with_id(upload.name)
    check_length(named)
    return named
