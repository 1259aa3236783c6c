"""ABX by hand: triples, ties, and the order of the means."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.metrics.abx import abx_estimate, cell_error, cells_of
from audiossl.metrics.clusters import clusters_of

# Segments on a line: distances are differences.
LABELS = ["a", "a", "b", "a", "b", "b"]
SPEAKERS = ["s", "s", "s", "t", "t", "t"]
PLACES = np.array([0.0, 2.0, 3.0, 1.0, 4.0, 5.0])
DISTANCES = np.abs(PLACES[:, None] - PLACES[None, :])


def test_within_speakers_by_hand() -> None:
    """s, X of a: X=0, A=2, B=3: 2 < 3 right. X=2, A=0, B=3: 2 > 1 wrong. Error 1/2. No two b of s.

    t, X of b: X=4, A=5, B=1: right. X=5, A=4: right. Error 0. One a of t. Mean over ordered pairs: (1/2 + 0) / 2.
    """
    cells = cells_of(LABELS, SPEAKERS, kind="within")
    errors = {(cell.pair, cell.speakers): cell_error(cell, DISTANCES) for cell in cells}
    assert errors == {(("a", "b"), ("s", "s")): 0.5, (("b", "a"), ("t", "t")): 0.0}
    assert abx_estimate(cells, DISTANCES, clusters_of(SPEAKERS, 6), SPEAKERS).value == 0.25


def test_across_speakers_by_hand() -> None:
    """(a, b), A and B of s, X of t: X=1: A=0: 1 < 2 right, A=2: 1 < 2 right. A and B of t, X of s: X=0: 1 < 4, 1 < 5
    right. X=2: A=1, B=4: 1 < 2, B=5: right. Error 0.

    (b, a), A=3 of s, B of s 0 and 2: X=4: 1 < 4, 1 < 2. X=5: right. A of t (4, 5), B=1 of t, X=3: A=4: 1 < 2 right,
    A=5: 2 = 2 a tie, half an error: 1/4. Mean of the cells 0 and 1/4, then with (a, b): 1/16.
    """
    cells = cells_of(LABELS, SPEAKERS, kind="across")
    errors = {(cell.pair, cell.speakers): cell_error(cell, DISTANCES) for cell in cells}
    assert errors[("b", "a"), ("t", "s")] == 0.25
    assert sum(errors.values()) == 0.25
    found = abx_estimate(cells, DISTANCES, clusters_of(SPEAKERS, 6), SPEAKERS)
    assert found.value == pytest.approx(1 / 16)
    assert np.isnan(found.without).all()  # without one of two speakers nobody is across


def test_contexts_are_averaged_before_pairs() -> None:
    """Two contexts of one pair with errors 0 and 1, the first with two speakers: (0 + 1) / 2, and not 1/3."""
    labels = ["a", "a", "b", "a", "a", "b", "a", "a", "b"]
    speakers = ["s"] * 3 + ["t"] * 3 + ["s"] * 3
    contexts = ["k_t"] * 6 + ["p_t"] * 3
    places = np.array([0, 1, 9, 0, 1, 9, 0, 9, 4.5])
    distances = np.abs(places[:, None] - places[None, :])
    cells = cells_of(labels, speakers, contexts, kind="within")
    assert len(cells) == 3
    assert abx_estimate(cells, distances, clusters_of(speakers, 9), speakers).value == 0.5


def test_an_interval_leaves_out_the_cells_of_a_speaker() -> None:
    rng = np.random.default_rng(0)
    labels, speakers = [str(n % 3) for n in range(72)], [f"s{n // 12}" for n in range(72)]
    states = rng.standard_normal((72, 4)) + np.eye(4)[[n % 3 for n in range(72)]]
    distances = np.linalg.norm(states[:, None] - states[None], axis=-1)
    clusters = clusters_of(speakers, 72)
    for kind in ("within", "across"):
        cells = cells_of(labels, speakers, kind=kind)  # type: ignore[arg-type]
        found = abx_estimate(cells, distances, clusters, speakers)
        assert 0 < found.value < 0.5
        for number, speaker in enumerate(sorted(set(speakers))):
            left = [cell for cell in cells if speaker not in cell.speakers]
            assert found.without[number] == pytest.approx(abx_estimate(left, distances, clusters, speakers).value)


def test_more_segments_than_wanted_are_drawn() -> None:
    cells = cells_of(["a"] * 30 + ["b"] * 30, ["s"] * 60, kind="within", most=4)
    assert {len(part) for cell in cells for part in cell[3:]} == {4}
    assert [cell.a.tolist() for cell in cells] == [
        cell.a.tolist() for cell in cells_of(["a"] * 30 + ["b"] * 30, ["s"] * 60, kind="within", most=4)
    ]


def test_what_has_no_triple_is_refused() -> None:
    with pytest.raises(ValueError, match="ABX within speakers needs a speaker who says two categories"):
        cells_of(["a", "b"], ["s", "s"], kind="within")
    with pytest.raises(ValueError, match="ABX across speakers needs"):
        cells_of(["a", "a", "b"], ["s", "s", "s"], kind="across")


def test_it_is_that_of_the_zerospeech_library() -> None:
    """Where fastabx is installed (it needs Python 3.12), which counts all triples too."""
    fastabx = pytest.importorskip("fastabx")
    rng = np.random.default_rng(3)
    labels, speakers = [str(n % 3) for n in range(36)], [f"s{n // 12}" for n in range(36)]
    states = rng.standard_normal((36, 5)).astype(np.float32)
    distances = np.linalg.norm(states[:, None] - states[None], axis=-1)
    for kind, of_speakers in (("within", {"by": ["speaker"]}), ("across", {"across": ["speaker"]})):
        cells = cells_of(labels, speakers, kind=kind, most=36)  # type: ignore[arg-type]
        ours = abx_estimate(cells, distances, clusters_of(speakers, 36), speakers).value
        dataset = fastabx.Dataset.from_numpy(states, {"label": labels, "speaker": speakers})
        score = fastabx.Score(fastabx.Task(dataset, on="label", **of_speakers), "euclidean")
        assert score.collapse(levels=["speaker"]) == pytest.approx(ours, abs=1e-4)
