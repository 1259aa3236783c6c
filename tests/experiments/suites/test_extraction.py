"""One pass of an encoder over a corpus for all cells that read it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.config import as_dict
from audiossl.encoders.kept import load_identified
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.suites import extraction
from audiossl.experiments.suites.extraction import extract_features, needs_by_rows
from audiossl.experiments.suites.plan import Cell
from audiossl.experiments.suites.recipes import prepare


@pytest.fixture
def cells(toy: ToySuite) -> Any:
    """Cells of tasks whose settings are given."""

    def made(*settings: dict[str, Any], upstream: str = TERA, **search: Any) -> list[Cell]:
        tasks = {f"toy/words{n}": {**TASK, "settings": own, "search": search} for n, own in enumerate(settings)}
        for n in range(len(settings)):
            toy.write_recipe(f"words{n}", {"downstream": "utterance_classification", "data": {"dir": "data/toy"}})
        toy.write({**SUITE, "tasks": tasks})
        prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
        return toy.plan(toy.asked(upstream, only=())).cells

    return made


def configs(cells: list[Cell]) -> dict[str, Any]:
    return {cell.title: as_dict(cell.config) for cell in cells}


def test_tasks_of_one_corpus_share_a_pass(cells: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they keep unlike things: means of one, frames of another. A second pass finds nothing to do."""
    made = configs(cells({}, {"task": {"pooling": "max"}}))
    encoded: list[int] = []
    original = extraction._fill

    def counted(needs: Any, cuts: Any, share: Any) -> Any:
        encoded.append(len(list(cuts)))
        return original(needs, cuts, share)

    monkeypatch.setattr(extraction, "_fill", counted)
    first = extract_features(made, (0, 1))
    assert encoded == [27]
    assert first["audio_s"] == pytest.approx(27 * 0.3, rel=0.2)
    assert len(first["entries"]) >= 1
    again = extract_features(made, (0, 1))
    assert again["audio_s"] == 0.0
    assert again["entries"] == first["entries"]


def test_parts_make_the_whole(cells: Any) -> None:
    made = configs(cells({}))
    parts = [extract_features(made, (number, 2), measure_norms=number == 0) for number in range(2)]
    assert all(part["audio_s"] > 0 for part in parts)
    assert sum(part["audio_s"] for part in parts) == pytest.approx(27 * 0.3, rel=0.3)
    assert parts[0]["layer_norms"]
    assert parts[1]["layer_norms"] == []
    assert extract_features(made, (0, 1))["audio_s"] == 0.0


def test_norms_are_those_of_the_layers(cells: Any) -> None:
    (cell,) = cells({})
    found = extract_features(configs([cell]), (0, 1), measure_norms=True)["layer_norms"]
    upstream = load_upstream(cell.config.upstream, **cell.config.upstream_options)
    assert len(found) == upstream.num_layers == 3
    frames: list[list[torch.Tensor]] = [[], [], []]
    for cut in extraction.read_manifest(cell.config.data.path("train")):
        with torch.inference_mode():
            layers = upstream.eval()(torch.from_numpy(cut.load_audio())).item(0)
        for place, layer in enumerate(layers):
            frames[place].append(layer.norm(dim=-1))
    expected = [float(torch.cat(each).mean()) for each in frames]
    assert found == pytest.approx(expected, rel=1e-4)


def test_every_head_that_is_tried_says_what_it_needs(cells: Any) -> None:
    (cell,) = cells({}, interface=["every_layer"])
    encoder = load_identified(cell.config.upstream, cell.config.upstream_options)
    ((_, needs),) = needs_by_rows([cell.config], encoder)
    assert [each.task.interface.layers_read for each in needs] == [(0,), (1,), (2,)]


def test_an_encoder_that_is_trained_needs_no_cache(cells: Any) -> None:
    (cell,) = cells({"finetune": {"mode": "all"}})
    encoder = load_identified(cell.config.upstream, cell.config.upstream_options)
    ((_, needs),) = needs_by_rows([cell.config], encoder)
    assert needs == []
    assert extract_features(configs([cell]), (0, 1))["audio_s"] == 0.0


def test_manifests_are_those_of_the_splits_or_of_the_folds(cells: Any) -> None:
    (cell,) = cells({})
    assert [path.name for path in cell.config.manifests.values()] == [
        "train.jsonl.gz",
        "dev.jsonl.gz",
        "test.jsonl.gz",
    ]
    (folded,) = cells({"folds": {"by": "k:2", "group": ""}})
    assert [path.name for path in folded.config.manifests.values()] == ["all.jsonl.gz"]


def test_a_row_of_several_splits_is_encoded_once(cells: Any) -> None:
    (cell,) = cells({"data": {"dev": "train.jsonl.gz"}})
    encoder = load_identified(cell.config.upstream, cell.config.upstream_options)
    ((cuts, _),) = needs_by_rows([cell.config], encoder)
    names = [cut.id for cut in cuts]
    assert len(names) == len(set(names)) < 27
