"""The training items nearest to a recording: embedded once, in the background, through the feature cache."""

from __future__ import annotations

import io
from random import Random
from threading import Event, Lock, Thread
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from lhotse.cut import Cut

from audiossl.core.errors import AudioError, AudiosslError, first_line, os_error_sentence
from audiossl.core.tensors import fingerprint
from audiossl.core.types import Batch
from audiossl.data.fields import read_field
from audiossl.data.loader import collate
from audiossl.data.reading import read_cut
from audiossl.encoders.long_audio import longest_whole_s
from audiossl.encoders.long_states import long_moments
from audiossl.experiments.run import Run
from audiossl.features.access import open_states
from audiossl.features.config import Form
from audiossl.features.contract import StateSource
from audiossl.metrics.clusters import Floats
from audiossl.nn.pooling import MeanPooling

MOST_PLAYED_S = 30.0


class Neighbour(NamedTuple):
    """A training item near a recording.

    number: by which it is played.
    name: its id.
    says: what its manifest says of it.
    cosine: of the two vectors.
    """

    number: int
    name: str
    says: dict[str, str]
    cosine: float


class Neighbours:
    """Vectors of some training items of a run, and which of them are nearest to another recording.

    A vector is the mean over time of what the head reads. The mean of all training vectors is taken out before the
    cosine, as what they have in common tells nothing apart.

    run: of one head.
    most: items that are embedded, drawn from the manifest where it has more. 0 for none.
    using: the lock of whoever runs the encoder.
    """

    def __init__(self, run: Run, most: int, using: Lock) -> None:
        self.run, self.most, self._using = run, most, using
        self.items: list[Cut] = []
        self._vectors: Floats = np.zeros((0, 0))
        self._mean: Floats = np.zeros(0)
        self._num_done = 0
        self._why_not = "" if most else "The page was started without training items (--items 0)."
        self._note = ""
        self._ready = False
        self._stopping = Event()
        self._thread = Thread(target=self.compute, name="training items", daemon=True)

    def start(self) -> None:
        """Embed the items in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End what was started, after the item in progress. What is computed by then stays in the cache."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_settled(self) -> bool:
        """Whether what there is to say now is what there will be."""
        return self._ready or bool(self._why_not)

    @property
    def sentence(self) -> str:
        """How far it is, or why there is nothing. '' where all is as expected."""
        if self._why_not:
            return self._why_not
        if not self._ready:
            of = f" ({self._num_done} of {len(self.items)})" if self.items else ""
            return f"The training items are being encoded{of}; the nearest appear here when that is done."
        return self._note

    def compute(self) -> None:
        """Embed the items. What keeps it from that is said on the page and ends nothing else."""
        if not self.most:
            return
        try:
            self._compute()
        except AudiosslError as error:
            self._why_not = str(error)
        except OSError as error:
            self._why_not = os_error_sentence(error)
        except Exception as error:
            self._why_not = f"The training items could not be embedded ({first_line(error)})."
            raise

    def vector(self, cut: Cut) -> Floats:
        """(D,) of a recording. Nothing of it is kept.

        A long one is encoded chunk by chunk where the mean over time is enough, else its beginning stands for it.
        """
        task, upstream = self.run.task, self.run.task.upstream
        longest_s = longest_whole_s(upstream)
        if cut.duration > longest_s and self._form == "pooled":
            features = long_moments(upstream, cut, task.interface.layers_read)
            nothing = torch.zeros(1, 0), torch.zeros(1, dtype=torch.int64)
            return self._pooled(Batch(*nothing, (cut,), features=features))
        whole = cut.truncate(duration=min(cut.duration, longest_s))
        return self._pooled(collate([whole], upstream.sample_rate_hz, min_samples=upstream.min_samples))

    def nearest(self, vector: Floats, count: int = 5) -> list[Neighbour]:
        """The nearest items, the nearest first. [] before they are ready."""
        if not self._ready:
            return []
        cosines = self._vectors @ _unit(vector - self._mean)
        order = np.argsort(-cosines, kind="stable")[:count]
        return [self._neighbour(int(place), float(cosines[place])) for place in order]

    def sound(self, number: int) -> bytes | None:
        """An item as a WAV file, its first `MOST_PLAYED_S` where it is longer. None where there is no such item.

        Raises AudioError for sound that is not there any more.
        """
        if not (self._ready and 0 <= number < len(self.items)):
            return None
        cut = self.items[number]
        if cut.duration > MOST_PLAYED_S:
            cut = cut.truncate(duration=MOST_PLAYED_S)
        rate, buffer = cut.sampling_rate, io.BytesIO()
        soundfile.write(buffer, read_cut(cut, rate), rate, format="WAV", subtype="PCM_16")
        return buffer.getvalue()

    @property
    def _form(self) -> Form:
        return "pooled" if self.run.task.interface.commutes_with_mean else "frames"

    def _compute(self) -> None:
        self.run.manifest("train")  # an error that says where it was, if it is not here
        rows = list(self.run.config.data.rows("train"))
        # Drawn, always alike. Rows at equal distances would all be of few labels where labels take turns.
        places = Random(0).sample(range(len(rows)), min(len(rows), self.most))
        self.items = [rows[place] for place in sorted(places)]
        with self._using:
            source = self._source()
        try:
            kept, vectors, last = [], [], None
            for cut in self.items:
                # One by one, with a pause, so that whoever asks for a prediction waits for one recording at most.
                if self._stopping.wait(0.001):
                    return
                try:
                    with self._using:
                        vectors.append(self._pooled(source.batch([cut])))
                    kept.append(cut)
                except AudioError as error:
                    last = error
                self._num_done += 1
        finally:
            source.close()
        if not vectors:
            raise AudioError(f"None of the training items can be read; the last of them: {last}")
        found = np.stack(vectors)
        if lost := len(self.items) - len(kept):
            self._note = f"{lost} of {len(self.items)} training items could not be read; the last of them: {last}"
        self._mean = found.mean(axis=0)
        self.items, self._vectors = kept, np.stack([_unit(vector - self._mean) for vector in found])
        self._ready = True

    def _source(self) -> StateSource:
        """The entry of the cache that training has filled, where that is of the same form."""
        run, task = self.run, self.run.task
        known = run.fingerprint if task.upstream_is_frozen else ""
        return open_states(
            task.upstream,
            known or fingerprint(task.upstream),
            run.config.cache,
            self._form,
            layers=task.interface.layers_read,
            precision=run.config.trainer.precision,
            device=run.device,
        )

    @torch.no_grad()
    def _pooled(self, batch: Batch) -> Floats:
        """(D,) of a batch of one: the mean over time of what the head reads."""
        task = self.run.task
        sequence, lengths = task.sequence(batch.to(self.run.device))
        pooled = MeanPooling(task.interface.width)(sequence.float(), lengths)
        vector: Floats = pooled[0].double().cpu().numpy()
        return vector

    def _neighbour(self, place: int, cosine: float) -> Neighbour:
        cut = self.items[place]
        config = getattr(self.run.task, "config", None)
        fields = [getattr(config, field) for field in ("label_field", "text_field") if hasattr(config, field)]
        says = {name: value for name in [*fields, "speaker"] if (value := read_field(cut, name))}
        return Neighbour(place, cut.id, says, round(cosine, 4))


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit
