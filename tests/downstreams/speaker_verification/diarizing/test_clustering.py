"""Speakers as clusters: found exactly where they are clear, bounded where the user bounds them, in groups of many."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.downstreams.speaker_verification.diarizing.clustering import (
    Ints,
    Speakers,
    agglomerative,
    centres_of,
    groups_of,
    means_of,
    merged,
    spectral,
    without_mixtures,
)
from audiossl.downstreams.speaker_verification.trials import normalised
from audiossl.metrics.clusters import Floats

ANY = Speakers(None, 1, 20)


def points(*sizes: int, spread: float = 0.3) -> tuple[Floats, Ints]:
    """Unit vectors about as many directions, shuffled."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.eye(16)[: len(sizes)]
    return normalised(centres[truth] + spread * rng.standard_normal((len(truth), 16)) / 4), truth


def same(labels: Ints, truth: Ints) -> bool:
    """Whether two labellings are one but for the names."""
    return len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == len(set(truth)) == len(set(labels))


@pytest.mark.parametrize("sizes", [(30, 20, 40), (60, 25), (90, 80, 70)])  # dense and sparse eigenvectors
def test_three_speakers_are_found(sizes: tuple[int, ...]) -> None:
    units, truth = points(*sizes)
    assert same(spectral(units, ANY), truth)
    assert same(spectral(units, Speakers(len(sizes), 1, 20)), truth)
    assert same(agglomerative(units, 0.5, ANY, 4), truth)
    assert same(agglomerative(units, 0.5, Speakers(len(sizes), 1, 20), 4), truth)


def test_one_speaker_is_one() -> None:
    units, truth = points(60)
    assert same(spectral(units, ANY), truth)
    assert same(agglomerative(units, 0.5, ANY, 4), truth)


def test_bounds_win() -> None:
    units, _ = points(30, 20, 40)
    for cluster in (spectral, lambda *given: agglomerative(given[0], 0.5, given[1], 4)):
        assert len(set(cluster(units, Speakers(None, 1, 2)))) == 2
        assert len(set(cluster(units, Speakers(None, 5, 20)))) >= 5
        assert len(set(cluster(units, Speakers(2, 1, 20)))) == 2
    assert len(set(spectral(units[:4], Speakers(4, 1, 20)))) == 4
    assert spectral(units[:1], ANY).tolist() == [0] == agglomerative(units[:1], 0.5, ANY, 4).tolist()


def test_outliers_are_no_speakers_of_their_own() -> None:
    units, truth = points(30, 20, 2)
    found = agglomerative(units, 0.5, ANY, 4)
    assert same(found[truth < 2], truth[truth < 2])
    assert same(agglomerative(units, 0.5, Speakers(2, 1, 20), 4)[truth < 2], truth[truth < 2])
    assert len(set(agglomerative(units, 0.5, ANY, 100))) == 1  # all too small: the largest stays


def test_many_windows_are_clustered_in_groups() -> None:
    units, truth = points(60, 50, 40, spread=0.1)
    groups = groups_of(units, 30)
    assert len(set(groups)) <= 30
    assert all(len(set(truth[groups == group])) == 1 for group in set(groups))
    assert same(agglomerative(means_of(units, groups), 0.5, ANY, 1)[groups], truth)
    assert groups_of(units, 150).tolist() == list(range(150))


def test_means_take_what_is_nearest() -> None:
    units, truth = points(30, 20)
    wrong = truth.copy()
    wrong[:5] = 1 - wrong[:5]
    assert ((units @ centres_of(units, wrong).T).argmax(1) == truth).all()


def test_one_voice_in_two_clusters_is_merged() -> None:
    units, truth = points(30, 20, 40)
    halved = np.where((truth == 2) & (np.arange(90) % 2 == 0), 3, truth)
    assert same(merged(units, halved, 0.9, 1), truth)
    assert same(merged(units, halved, 0.9, 4), halved)
    assert same(merged(units, halved, 1.1, 1), halved)


def test_windows_in_which_two_speak_are_no_speaker() -> None:
    units, truth = points(30, 30, 30)
    both = normalised(units[truth == 0] + units[truth == 1])
    every, labels = np.concatenate([units, both]), np.append(truth, np.full(30, 3))
    found = without_mixtures(every, labels, 0.85, 1)
    assert same(found[:90], truth)
    assert set(found[90:]) == {*found[:90][truth < 2]}
    assert same(without_mixtures(every, labels, 0.85, 4), labels)
    assert same(without_mixtures(every, labels, 1.1, 1), labels)
    # What is near to one of two others is no sum of them.
    near = normalised(units[truth == 0] + 0.3 * units[truth == 1])
    assert len(set(without_mixtures(np.concatenate([units, near]), labels, 0.85, 1).tolist())) == 4
