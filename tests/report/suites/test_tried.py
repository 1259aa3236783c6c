"""What was tried, in words, lines and figures of layers."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.experiments.suites.results import CellResult, Tried
from audiossl.report.suites.tried import chosen_written, figures_of_layers, mean_trials, tried_lines

LAYER = {"name": "layer", "index": 3}


def layers(*figures: float | None, **others: Any) -> CellResult:
    """A cell in which each layer was tried by itself."""
    tried = [
        Tried(f"layer_index{number}", {"interface": {"name": "layer", "index": number}}, figure)
        for number, figure in enumerate(figures)
    ]
    return CellResult("k", "a/b", "u", 0, trials=tried, **others)


@pytest.mark.parametrize(
    ("values", "xlabel", "lines"),
    [
        ([{"lr": 0.1}, {"lr": 0.01}], "learning rate", [("lr", [0.01, 0.1])]),
        ([{"interface": "last"}, {"interface": LAYER}], "interface", [("interface", ["last", "layer 3"])]),
        ([{"lr": 0.1, "task": {"width": 8}}, {"lr": 0.2}], "learning rate", [("width 8", [0.1]), ("default", [0.2])]),
        ([{"lr": 0.1}, {"lr": 0.1}], "", []),
    ],
)
def test_what_varies_is_the_axis(values: list[dict[str, Any]], xlabel: str, lines: list[tuple[str, list[Any]]]) -> None:
    tried = [Tried(str(number), each, 0.5) for number, each in enumerate(values)] + [Tried("failed", {"lr": 9.0}, None)]
    found = tried_lines(tried, "accuracy")
    assert (found[0], [(line.name, list(line.places)) for line in found[1]]) == (xlabel, lines)
    assert all(value == 50.0 for line in found[1] for value in line.values)


def test_folds_have_means_of_what_was_tried_in_all_of_them() -> None:
    found = mean_trials([layers(0.5, 0.7, 0.2), layers(0.7, 0.5, None)])
    assert [(tried.member, tried.dev) for tried in found] == [
        ("layer_index0", pytest.approx(0.6)),
        ("layer_index1", pytest.approx(0.6)),
    ]
    assert mean_trials([]) == []


def test_what_was_chosen_in_words() -> None:
    assert chosen_written([layers(0.5, 0.7)]) == "layer 1"
    assert chosen_written([layers(0.5, 0.7), layers(0.8, 0.7), layers(0.1, 0.7)]) == "layer 1 (2) / layer 0 (1)"
    assert chosen_written([layers(0.5, 0.7, mode="min")]) == "layer 0"
    assert chosen_written([layers(), layers(None)]) == ""


def test_each_layer_has_a_figure_of_its_own() -> None:
    assert figures_of_layers(layers(0.5, 0.7).trials) == [0.5, 0.7]
    assert figures_of_layers(layers(0.5, None, 0.7).trials) == []
    assert figures_of_layers([Tried("a", {"interface": "last"}, 0.5)]) == []
    rates = [Tried(str(dev), {"interface": {"name": "layer", "index": 0}, "lr": 0.1}, dev) for dev in (0.2, 0.4)]
    assert figures_of_layers(rates) == [0.4]
    assert figures_of_layers(rates, "min") == [0.2]
