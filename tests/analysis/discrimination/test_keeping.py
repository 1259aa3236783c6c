"""A study that was killed goes on with the next layer, and nothing of another question is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys.tones import spoken_rows

from audiossl.analysis.discrimination import study
from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.study import study_discrimination

OPTIONS = DiscriminationOptions(random=False)


def test_a_killed_study_goes_on_and_gives_the_same(
    tmp_path: Path, toy_upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, computed = spoken_rows(tmp_path), []
    whole = study_discrimination([toy_upstream], [rows], tmp_path / "whole", OPTIONS)
    original = study._of_layer

    def killed(*args: Any) -> Any:
        computed.append(len(computed))
        if len(computed) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(study, "_of_layer", killed)
    with pytest.raises(KeyboardInterrupt):
        study_discrimination([toy_upstream], [rows], tmp_path / "out", OPTIONS)
    (folder,) = (tmp_path / "out" / "encoders").iterdir()
    assert [path.name for path in folder.iterdir()] == ["layer_000.json"]
    again = study_discrimination([toy_upstream], [rows], tmp_path / "out", OPTIONS)
    num_layers = len(again.encoders[0].layers)
    assert len(computed) == 2 + num_layers - 1  # the first layer was there
    for layer, figures in whole.encoders[0].layers.items():
        for name, expected in figures.items():
            found = again.encoders[0].layers[layer][name]
            assert (found.value, found.scale, found.num_items) == (expected.value, expected.scale, expected.num_items)
            assert found.without == pytest.approx(expected.without, nan_ok=True, abs=0)
    study_discrimination([toy_upstream], [rows], tmp_path / "out", OPTIONS)
    assert len(computed) == 1 + num_layers  # nothing anew
    study_discrimination([toy_upstream], [rows], tmp_path / "out", replace(OPTIONS, standardize=True))
    assert len(computed) == 1 + 2 * num_layers  # another question


def test_other_layers_are_the_same_question(tmp_path: Path, toy_upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, options = spoken_rows(tmp_path), replace(OPTIONS, distances="mean")
    study_discrimination([toy_upstream], [rows], tmp_path / "out", replace(options, layers="0"))
    read: list[list[int]] = []
    original = study.iter_layers

    def seen(upstream: Any, cuts: Any, segments: Any, layers: list[int], **how: Any) -> Any:
        read.append(layers)
        return original(upstream, cuts, segments, layers, **how)

    monkeypatch.setattr(study, "iter_layers", seen)
    found = study_discrimination([toy_upstream], [rows], tmp_path / "out", options)
    assert read == [[layer for layer in found.encoders[0].layers if layer]]
