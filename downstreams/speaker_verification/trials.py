"""Which recordings are compared (trial lists, enrolment lists, all pairs), and the predictions that come of it.

A trial list has one trial a line, `1 idA idB` or `0 idA idB` (VoxCeleb's), or `idA idB target` (Kaldi's, with
target and nontarget), or it is a key of NIST's (a table with the columns modelid, segmentid and targettype). An
enrolment list has `model id1 id2 ...` in each line (Kaldi's spk2utt), or is a table with a row for each segment of a
modelid. The first name of a trial may then be such a model. A name is an item's id, with or without the suffix of a
sound file, or its path.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import ConfigError, LabelError, ManifestError
from audiossl.data.folders import SOUND_SUFFIXES
from audiossl.data.tables import local_path, numbered_lines, read_text
from audiossl.downstreams.speaker_verification.score_files import nist_rows
from audiossl.metrics.clusters import Floats

_log = logging.getLogger(__name__)
_CHUNK = 2**16  # trials whose two sides are held at once: those of all would be many times the items
_KINDS = {"1": True, "0": False, "target": True, "nontarget": False}


class Trial(NamedTuple):
    """A line of a list. where: its place, for messages."""

    target: bool
    enrol: str
    test: str
    where: str


class Pairs(NamedTuple):
    """N trials of a split.

    names: of the enrolled sides.
    models: for each enrolled side the items that it is made of.
    enrol: (N,) index into `models`.
    test: (N,) index into the items.
    target: (N,) whether both sides are one speaker.
    lines: the place of each in its list. Empty for pairs that nobody has listed.
    """

    names: list[str]
    models: list[list[int]]
    enrol: NDArray[np.int64]
    test: NDArray[np.int64]
    target: NDArray[np.bool_]
    lines: Sequence[str] = ()


def read_trials(path: str | Path) -> list[Trial]:
    """Raises ManifestError for a file that is not there, has no trial, or has a line that is none."""
    if (table := _table(path, "trial list")) is not None:
        return [_nist_trial(where, row) for where, row in table]
    trials = []
    for where, words in _lines(path, "trial list"):
        if len(words) == 3 and words[0] in _KINDS:
            trials.append(Trial(_KINDS[words[0]], words[1], words[2], where))
        elif len(words) == 3 and words[2] in _KINDS:
            trials.append(Trial(_KINDS[words[2]], words[0], words[1], where))
        else:
            raise ManifestError(
                f"{where} is not a trial: {' '.join(words)[:80]!r}; write `1 idA idB` for one speaker and `0 idA idB` "
                f"for two, or Kaldi's `idA idB target` and `idA idB nontarget`."
            )
    return trials


def read_enrolment(path: str | Path) -> dict[str, tuple[list[str], str]]:
    """Model -> its items and the place of its line. Raises ManifestError as `read_trials` does."""
    models: dict[str, tuple[list[str], str]] = {}
    if (table := _table(path, "enrolment list")) is not None:
        for where, row in table:
            models.setdefault(row["modelid"], ([], where))[0].append(row["segmentid"])
        return models
    for where, words in _lines(path, "enrolment list"):
        if len(words) < 2:
            raise ManifestError(f"{where} has no recording for the model {words[0]!r}; write `model id1 id2 ...`.")
        if words[0] in models:
            raise ManifestError(f"{where} enrols {words[0]!r} again ({models[words[0]][1]}); put it into one line.")
        models[words[0]] = (words[1:], where)
    return models


def listed_pairs(
    trials: Sequence[Trial],
    models: Mapping[str, tuple[list[str], str]],
    ids: Sequence[str],
    paths: Sequence[str | None],
    split: str,
) -> Pairs:
    """The trials of a list among the items of a split.

    trials: the lines of the list.
    models: by name the items that an enrolled side is made of, and the line that says so.
    ids: of the items.
    paths: of the items.
    split: what an error calls them.
    Raises ManifestError for a name that is none of them, with its line.
    """
    # A side that is enrolled in many trials is one model: its mean embedding is then taken once.
    place_of = _Names(ids, paths, split)
    sides: dict[str, int] = {}
    members: list[list[int]] = []
    enrol, test = [], []
    for trial in trials:
        if trial.enrol not in sides:
            names, where = models.get(trial.enrol, ([trial.enrol], trial.where))
            sides[trial.enrol] = len(members)
            members.append([place_of(name, where) for name in names])
        # The tested side is always one item.
        enrol.append(sides[trial.enrol])
        test.append(place_of(trial.test, trial.where))
    names = [name if name in models else ids[members[place][0]] for name, place in sides.items()]
    target = np.array([trial.target for trial in trials], dtype=bool)
    lines = [trial.where for trial in trials]
    return Pairs(names, members, np.array(enrol, dtype=np.int64), np.array(test, dtype=np.int64), target, lines)


def all_pairs(ids: Sequence[str], speakers: Sequence[str | None], split: str, most: int) -> Pairs:
    """Every two items once.

    ids: of the items.
    speakers: of the items.
    split: what an error calls them.
    most: how many pairs there may be.
    Raises LabelError for an item without a speaker, ConfigError for more pairs than `most`.
    """
    for name, speaker in zip(ids, speakers, strict=True):
        if speaker is None:
            raise LabelError(
                f"Item {name!r} of {split} has no speaker, so nobody knows which pairs are of one; fill it in, or give "
                f"a trial list as task.trials.{split}."
            )
    count = len(ids) * (len(ids) - 1) // 2
    if count > most:
        raise ConfigError(
            f"The {len(ids)} items of {split} make {count} pairs, more than task.max_pairs={most}; give a trial list "
            f"as task.trials.{split}, or raise task.max_pairs."
        )
    numbers = np.unique(np.array(speakers, dtype=str), return_inverse=True)[1]
    first, second = np.triu_indices(len(ids), k=1)
    members = [[place] for place in range(len(ids))]
    return Pairs(list(ids), members, first, second, numbers[first] == numbers[second])


def check_pairs(pairs: Pairs, speakers: Sequence[str | None], split: str, listed: str) -> None:
    """Warn of speakers who have one recording only, and are therefore in no trial of one speaker, and see `check_list`.

    pairs: the trials.
    speakers: of the items.
    split: what an error calls them.
    listed: the trial list, '' for all pairs.
    Raises LabelError where there is but one kind of trial, and for a list that contradicts itself or the manifest.
    """
    if listed:
        check_list(pairs, speakers, listed)
    alone = sum(count == 1 for count in Counter(speakers).values())
    if pairs.target.any() and not pairs.target.all():
        if not listed and alone:
            _log.warning("%d speakers of %s have one recording: they are in no trial of one speaker.", alone, split)
        return
    if listed:
        kind = "one speaker" if pairs.target.any() else "two speakers"
        raise LabelError(f"All {len(pairs.target)} trials of {listed} are of {kind}; add the other kind.")
    cause = "all are of one speaker" if pairs.target.any() else "no speaker has two recordings"
    raise LabelError(
        f"The {len(speakers)} items of {split} make no trials of both kinds, for {cause}; cut recordings in two, add "
        f"some, or give a trial list as task.trials.{split}."
    )


def check_list(pairs: Pairs, speakers: Sequence[str | None], listed: str) -> None:
    """Warn of trials that are there twice, compare a recording with itself, or contradict the speakers of the manifest.

    pairs: the trials.
    speakers: of the items, where they are known.
    listed: the trial list.
    Raises LabelError for a pair that is of one speaker and of two, and where most trials contradict the speakers.
    """
    first: dict[object, int] = {}
    again, alone, wrong = [], [], []
    sides = [_only({speakers[place] for place in members}) for members in pairs.models]
    columns = zip(pairs.enrol.tolist(), pairs.test.tolist(), pairs.target.tolist(), strict=True)
    for number, (enrol, test, target) in enumerate(columns):
        members = pairs.models[enrol]
        # Two recordings are the same pair in either order, a model and a recording are not.
        pair = frozenset((members[0], test)) if len(members) == 1 else (pairs.names[enrol], test)
        before = first.setdefault(pair, number)
        if pairs.target[before] != target:
            raise LabelError(
                f"{pairs.lines[number]} contradicts {pairs.lines[before]}: the same two are of one speaker and of two; "
                f"delete the wrong one."
            )
        again += [number] if before != number else []
        alone += [number] if test in members else []
        if None not in (sides[enrol], speakers[test]) and (sides[enrol] == speakers[test]) != target:
            wrong.append(number)
    told = {
        "are in the list before": again,
        "compare a recording with itself": alone,
        "contradict the speakers of the manifest": wrong,
    }
    for what, found in told.items():
        if not found:
            continue
        share = f"{len(found)} of the {len(pairs.lines)} trials of {listed}"
        sentence = f"{share} {what}, first {pairs.lines[found[0]]}"
        if found is wrong and 2 * len(wrong) > len(pairs.lines):
            raise LabelError(f"{sentence}; 1 is for one speaker and 0 for two: correct the list, or the speakers.")
        _log.warning("Warning: %s.", sentence)


def scores_of(pairs: Pairs, embeddings: Floats) -> Floats:
    """(N,) cosines of embeddings (items, E). A model is the mean of its items' normalised embeddings."""
    units = normalised(embeddings)
    return products_of(pairs, normalised(np.stack([units[members].mean(axis=0) for members in pairs.models])), units)


def products_of(pairs: Pairs, models: Floats, tests: Floats) -> Floats:
    """(N,) products of the two sides of N trials, of rows of models (M, F) and of items (I, F)."""
    scores = np.empty(len(pairs.test))
    for start in range(0, len(scores), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores[part] = np.einsum("nd,nd->n", models[pairs.enrol[part]], tests[pairs.test[part]])
    return scores


def normalised(vectors: Floats) -> Floats:
    """Vectors of length 1. One of zeros stays one, and so has a cosine of 0 with everything."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0))


def predictions_of(pairs: Pairs, items: Sequence[Mapping[str, Any]], scores: Floats, llrs: Floats | None) -> list[Any]:
    """A prediction for each of N trials.

    pairs: the trials.
    items: with the `id` and the `speaker` of each.
    scores: (N,) cosines.
    llrs: (N,) log-likelihood ratios. None without calibration.
    Returns id, enrol, test, target, score, llr (None without calibration) and the speakers of both sides of each.
    """
    sides = [_only({items[place]["speaker"] for place in members}) for members in pairs.models]
    ratios = [None] * len(scores) if llrs is None else llrs.tolist()
    columns = zip(
        pairs.enrol.tolist(), pairs.test.tolist(), pairs.target.tolist(), scores.tolist(), ratios, strict=True
    )
    return [
        {
            "id": f"{pairs.names[enrol]} {items[test]['id']}",
            "enrol": pairs.names[enrol],
            "test": items[test]["id"],
            "target": int(target),
            "score": score,
            "llr": llr,
            "speaker_enrol": sides[enrol],
            "speaker_test": items[test]["speaker"],
        }
        for enrol, test, target, score, llr in columns
    ]


class _Names:
    """From what a list calls an item to its place."""

    def __init__(self, ids: Sequence[str], paths: Sequence[str | None], split: str) -> None:
        self.split = split
        self.ids = {name: place for place, name in enumerate(ids)}
        self.paths: dict[str, list[int]] = {}
        for place, path in enumerate(paths):
            if path is not None:
                self.paths.setdefault(path, []).append(place)

    def __call__(self, name: str, where: str) -> int:
        stem = name.rsplit(".", 1)[0] if name.lower().endswith(SOUND_SUFFIXES) else name
        place = self.ids.get(name, self.ids.get(stem))
        if place is not None:
            return place
        found = self.paths.get(name) or self.paths.get(str(Path(local_path(name, Path())).resolve()), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise ManifestError(
                f"{where} names {name}, of which {len(found)} items of {self.split} are parts; use ids."
            )
        known = next(iter(self.ids), "")
        raise ManifestError(
            f"{where} names {name!r}, which is no item of {self.split} (an id is, for instance, {known!r}); correct "
            f"the list, or add the recording to the manifest."
        )


def _lines(path: str | Path, what: str) -> list[tuple[str, list[str]]]:
    lines = [(where, _words(line)) for where, line in numbered_lines(path, read_text(path, what))]
    if not lines:
        raise ManifestError(f"The {what} {path} is empty; make it again.")
    return lines


def _table(path: str | Path, what: str) -> list[tuple[str, dict[str, str]]] | None:
    """The rows of a table of NIST's, None for another list."""
    return nist_rows(numbered_lines(path, read_text(path, what)))


def _nist_trial(where: str, row: Mapping[str, str]) -> Trial:
    kind = row.get("targettype", "")
    if kind not in ("target", "nontarget"):
        raise ManifestError(
            f"{where} does not say whether it is of one speaker; take the key of the trials, whose column targettype "
            f"is target or nontarget."
        )
    return Trial(kind == "target", row["modelid"], row["segmentid"], where)


def _words(line: str) -> list[str]:
    """What blanks part, or, in a line that tabs part, what these do: a name may then have blanks."""
    cells = [cell.strip() for cell in line.strip().split("\t")]
    return cells if len(cells) >= 3 else line.split()


def _only(speakers: set[Any]) -> str | None:
    """The one speaker of a side. None where it is not one."""
    return speakers.pop() if len(speakers) == 1 else None
