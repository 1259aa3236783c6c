"""Scores that any program gave to trials, judged by the list of trials. No run and no recording is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from audiossl.core.errors import ManifestError
from audiossl.core.types import Metric
from audiossl.data.tables import numbered_lines, read_text
from audiossl.downstreams.speaker_verification.judging import TrialJudge, trial_facts
from audiossl.downstreams.speaker_verification.score_files import read_scores
from audiossl.downstreams.speaker_verification.trials import check_pairs, listed_pairs, predictions_of, read_trials


class Judgement(NamedTuple):
    """metrics: by name, with intervals. facts: numbers of trials, threshold of equal errors, minCllr."""

    metrics: dict[str, Metric]
    facts: dict[str, Any]


def judge_scores(scores: Path, trials: Path, speakers: Path | None = None, *, ratios: bool = False) -> Judgement:
    """How good the scores of a file are.

    scores: in one of the forms of `read_scores`.
    trials: a list of trials.
    speakers: lines of `recording speaker`, for intervals over speakers. None for intervals over recordings.
    ratios: whether the scores are log-likelihood ratios (natural), so that they have a Cllr and actual costs.
    Raises ManifestError for a trial without a score, LabelError for a list of one kind or that contradicts itself.
    """
    listed, found = read_trials(trials), read_scores(scores)
    values = [found.get((trial.enrol, trial.test)) for trial in listed]
    if None in values:
        trial = listed[values.index(None)]
        known = " ".join(next(iter(found)))
        raise ManifestError(
            f"{scores} has no score of {values.count(None)} of the {len(listed)} trials, the first is {trial.where}: "
            f"{trial.enrol} {trial.test} (a scored one is {known}); write both with the same names, in the same order."
        )
    # Whatever a list names is an item, models as well.
    names = [*dict.fromkeys(name for trial in listed for name in (trial.enrol, trial.test))]
    known_speakers = {} if speakers is None else read_speakers(speakers, names)
    items = [{"id": name, "speaker": known_speakers.get(name)} for name in names]
    pairs = listed_pairs(listed, {}, names, [None] * len(names), str(trials))
    check_pairs(pairs, [item["speaker"] for item in items], str(trials), str(trials))
    figures = np.array(values, dtype=np.float64)
    rows = predictions_of(pairs, items, figures, figures if ratios else None)
    return Judgement(TrialJudge(None).score(rows), trial_facts(rows))


def read_speakers(path: Path, names: list[str]) -> Mapping[str, str]:
    """The speaker of each recording (Kaldi's utt2spk). Blanks part the two, or a tab.

    path: the list.
    names: of the trials, one of which it must have.
    Raises ManifestError.
    """
    found: dict[str, str] = {}
    for where, line in numbered_lines(path, read_text(path, "list of speakers")):
        words = [word.strip() for word in line.split("\t")] if "\t" in line else line.split()
        if len(words) != 2:
            raise ManifestError(f"{where} is not `recording speaker`: {line.strip()[:80]!r}.")
        found[words[0]] = words[1]
    if not found.keys() & set(names):
        raise ManifestError(
            f"{path} has none of the {len(names)} names of the trials, {names[0]!r} for instance; write the names of "
            f"the list."
        )
    return found
