"""Figures of units, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.core.errors import LabelError
from audiossl.data.ctm import CtmAlignment
from audiossl.data.unit_files import UnitFacts, UnitRow
from audiossl.features.units.describing import describe_units

FACTS = UnitFacts(10.0, 4, 0.05)


def row(name: str, *units: int) -> UnitRow:
    return UnitRow(name, np.array(units), FACTS)


def alignment(*parts: tuple[float, float, str]) -> CtmAlignment:
    starts, ends, labels = zip(*parts, strict=True)
    return CtmAlignment(np.array(starts), np.array(ends), labels)


def test_use_and_runs_of_units() -> None:
    found = describe_units([row("a", 0, 0, 0, 1), row("b", 1, 1, 0, 0)])
    assert found.metrics["usage"].value == 0.5
    assert found.metrics["perplexity"].value == pytest.approx(np.exp(_entropy(5 / 8)))
    assert (found.num_recordings, found.num_frames, found.num_units) == (2, 8, 4)
    assert (found.num_labelled, found.num_labels) == (None, None)
    assert found.run_s == pytest.approx(0.2)
    assert found.bits_per_s == pytest.approx(5.0)
    assert found.metrics["usage"].cluster == "recording"


def test_agreement_with_labels_at_the_centres_of_frames() -> None:
    labels = {
        "a": alignment((0.0, 0.2, "aa"), (0.2, 0.34, "sil"), (0.34, 0.4, "b")),
        "b": alignment((0.0, 0.3, "aa")),
        "unheard": alignment((0, 1, "x")),
    }
    rows = [row("a", 0, 0, 1, 2), row("b", 0, 3, 3, 1), row("unlabelled", 0, 0, 0, 0)]
    found = describe_units(rows, labels, ignored=["sil"])
    # Frames with labels: a: aa 0, aa 0, b 2. b: aa 0, aa 3, aa 3.
    assert (found.num_recordings, found.num_labelled, found.num_labels) == (2, 6, 2)
    assert found.metrics["phone_purity"].value == pytest.approx(1.0)
    assert found.metrics["cluster_purity"].value == pytest.approx(4 / 6)
    assert found.metrics["pnmi"].value == pytest.approx(1.0)
    assert found.as_json()["metrics"]["pnmi"]["value"] == pytest.approx(1.0)


def test_intervals_are_over_what_varies_as_a_whole() -> None:
    draw = np.random.default_rng(0)
    rows = [row(f"{n}", *draw.integers(0, 4, 50)) for n in range(40)]
    labels = {f"{n}": alignment((0.0, 2.5, "a"), (2.5, 5.0, "b")) for n in range(40)}
    of_rows = describe_units(rows, labels).metrics["phone_purity"]
    assert of_rows.num_clusters == 40
    assert of_rows.low is not None
    assert of_rows.high is not None
    assert of_rows.low < of_rows.value < of_rows.high
    speakers = {f"{n}": f"s{n % 8}" for n in range(40)}
    of_speakers = describe_units(rows, labels, groups=speakers, kind="speaker").metrics["phone_purity"]
    assert (of_speakers.num_clusters, of_speakers.cluster) == (8, "speaker")


def test_many_recordings_are_put_together() -> None:
    found = describe_units([row(f"{n}", n % 4, 0) for n in range(250)]).metrics["perplexity"]
    assert found.num_clusters == 200
    assert found.remark == "250 recordings in 200 random groups"


def test_labels_of_other_recordings_or_times_are_an_error() -> None:
    with pytest.raises(LabelError, match="No row has a label, nor the first row, a: the first label is of b"):
        describe_units([row("a", 0)], {"b": alignment((0, 1, "x"))})
    with pytest.raises(LabelError, match="No frame of the 1 rows has a label"):
        describe_units([row("a", 0)], {"a": alignment((5, 6, "x"))})


def _entropy(share: float) -> float:
    return float(-share * np.log(share) - (1 - share) * np.log(1 - share))
