"""Who of a gallery is it, or is it nobody there? Open-set identification by a run of speaker verification.

A ratio for each speaker of the gallery, calibrated on dev, gives probabilities by Bayes' rule: with M speakers, each of
whom has the prior p / M, and with 1 - p for a stranger,

    P(speaker i) = (p / M) r_i / (1 - p + sum_j (p / M) r_j)

It is nobody of the gallery where the stranger has at least one half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import logsumexp

from audiossl.core.errors import AudioError, LabelError
from audiossl.data.fields import read_field
from audiossl.data.folders import sounds_below
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.speaker_verification.trials import Pairs
from audiossl.downstreams.speaker_verification.verify import check_prior, judge, row_of, verifier_of
from audiossl.experiments.embedding_store import is_manifest
from audiossl.experiments.run import Run
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse.cut import Cut

Gallery = Mapping[str, Sequence["str | Cut"]]


class Ranked(NamedTuple):
    """A speaker of the gallery: name, score, and its probability, None without a calibration."""

    name: str
    score: float
    probability: float | None


class GalleryAnswer(NamedTuple):
    """Who a recording is of.

    recording: its path.
    name: of the speaker. None for nobody of the gallery.
    nobody: the probability of that. None without a calibration, and then the nearest is always named.
    ranked: all of the gallery, the most probable first.
    """

    recording: str
    name: str | None
    nobody: float | None
    ranked: list[Ranked]


def read_gallery(place: str) -> Gallery:
    """Speaker -> recordings, of a folder with a folder for each speaker, or of a manifest whose rows have speakers.

    Raises AudioError for a speaker without a recording and for a gallery without speakers, LabelError for a row of a
    manifest that does not say whose it is.
    """
    gallery: dict[str, list[str | Cut]] = {}
    if is_manifest(place):
        for cut in read_manifest(place):
            if (speaker := read_field(cut, "speaker")) is None:
                raise LabelError(f"The row {cut.id!r} of {place} has no speaker; fill it in, or drop the row.")
            gallery.setdefault(speaker, []).append(cut)
    else:
        for folder in sorted(path for path in Path(place).glob("*") if path.is_dir()):
            gallery[folder.name] = [str(path) for path in sounds_below(folder)]
            if not gallery[folder.name]:
                raise AudioError(
                    f"The speaker {folder.name!r} of {place} has no recording; add one, or remove {folder}."
                )
    if not gallery:
        raise AudioError(f"{place} has no speakers; give a folder with a folder of recordings for each, or a manifest.")
    return gallery


def identify(run: Run, gallery: Gallery, unknown: Sequence[str], prior: float = 0.5) -> list[GalleryAnswer]:
    """Who of the gallery each unknown recording is of.

    run: of speaker_verification.
    gallery: the recordings of each speaker.
    unknown: recordings.
    prior: how probable it is that a speaker of the gallery is heard, before anything is.
    Raises AudiosslError for a run of another task, ConfigError for a prior that is no probability, AudioError.
    """
    task = verifier_of(run)
    check_prior(prior)
    names = [*gallery]
    rows = [row_of(run, recording) for recording in [*chain(*gallery.values()), *unknown]]
    ends = np.cumsum([len(gallery[name]) for name in names]).tolist()
    models = [list(range(end - len(gallery[name]), end)) for name, end in zip(names, ends, strict=True)]
    # Every model with every unknown recording, those of a recording one after the other.
    enrol = np.tile(np.arange(len(names)), len(unknown))
    test = np.repeat(ends[-1] + np.arange(len(unknown)), len(names))
    judged = judge(run, task, Pairs(names, models, enrol, test, np.ones(len(test), bool)), rows)
    found = []
    for number, path in enumerate(unknown):
        part = slice(number * len(names), (number + 1) * len(names))
        ratios = None if judged.llrs is None else judged.llrs[part]
        found.append(_answer(path, names, judged.scores[part], ratios, prior))
    return found


def _answer(path: str, names: Sequence[str], scores: Floats, llrs: Floats | None, prior: float) -> GalleryAnswer:
    order = np.argsort(-scores if llrs is None else -llrs, kind="stable").tolist()
    if llrs is None:
        ranked = [Ranked(names[place], float(scores[place]), None) for place in order]
        return GalleryAnswer(path, ranked[0].name, None, ranked)
    weights = np.append(np.log(prior / len(names)) + llrs, np.log1p(-prior))
    shares = np.exp(weights - logsumexp(weights))
    ranked = [Ranked(names[place], float(scores[place]), float(shares[place])) for place in order]
    nobody = float(shares[-1])
    return GalleryAnswer(path, None if nobody >= 0.5 else ranked[0].name, nobody, ranked)
