"""What is asked of which segments, and sentences for what cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys.tones import spoken_rows

from audiossl.analysis.segment_probes.asked import ask
from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.core.errors import LabelError, ManifestError


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spoken_rows(tmp_path_factory.mktemp("rows"))


def _ask(manifest: Path, **given: Any) -> Any:
    return ask([manifest], SegmentProbeOptions(**{"folds": 3, "least_items": 2, **given}))


def test_segments_targets_and_tests(manifest: Path) -> None:
    asked = _ask(manifest)
    assert sorted(set(asked.targets)) == ["high", "low", "mid"] and len(asked.cells) == 3
    assert asked.clusters.num == 4 and len(asked.segments) == len(asked.groups) == 24
    assert _ask(manifest, target="age", kind="numbers").targets.dtype.kind == "f"
    assert len(_ask(manifest, most_items=10).segments) == 10
    measured = _ask(manifest, target="f0_hz", kind="numbers", ignore="mid,high")
    assert measured.targets == pytest.approx([300.0] * len(measured.targets), rel=0.05)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ignore": "mid,high"}, r"1 class\(es\) of 'label' have 2 segments or more, and two are the least"),
        ({"target": "label", "kind": "numbers"}, "has label='(low|mid|high)', which is no number; correct it"),
        ({"target": "ages"}, "has no 'ages', which is needed for --target. Did you mean age"),
        ({"disjoint": "label"}, "--disjoint label holds out what is to be told"),
        ({"folds": 6}, r"Segments have 4 value\(s\) of 'speaker', fewer than 6 folds"),
        ({"target": "site", "disjoint": "speaker"}, "fitted to segments of one class alone"),
    ],
)
def test_what_cannot_be_told(manifest: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabelError, match=sentence):
        _ask(manifest, **given)


def test_a_row_is_in_one_manifest(manifest: Path) -> None:
    with pytest.raises(ManifestError, match="is in the manifests twice"):
        ask([manifest, manifest], SegmentProbeOptions())
