"""What flows between the stages keeps its parts together."""

from __future__ import annotations

import json

import pytest
import torch

from audiossl.core.types import Batch, Features, Metric, Position, metrics_as_json


def features() -> Features:
    layers = tuple(torch.arange(2 * 4 * width, dtype=torch.float32).view(2, 4, width) for width in (3, 5))
    return Features(layers, torch.tensor([4, 2]))


def test_an_item_is_without_its_padding() -> None:
    whole = features()
    assert whole.widths == (3, 5)
    assert [state.shape for state in whole.item(1)] == [(2, 3), (2, 5)]
    assert torch.equal(whole.item(1)[1], whole.layers[1][1, :2])


def test_a_moved_batch_keeps_what_is_no_tensor() -> None:
    batch = Batch(torch.zeros(2, 0), torch.tensor([640, 320]), ("a", "b"), Position(1, 7), features())  # type: ignore[arg-type]
    moved = batch.to("meta")
    assert len(moved) == len(batch) == 2
    assert (moved.cuts, moved.position) == (("a", "b"), (1, 7))
    assert {moved.wavs.device.type, moved.lengths.device.type} == {"meta"}
    assert moved.features is not None
    assert {layer.device.type for layer in moved.features.layers} == {"meta"}
    assert batch.wavs.device.type == "cpu"


def test_moved_features_stay_inexact_where_they_are() -> None:
    moved = Features(features().layers, torch.tensor([4, 2]), exact=False).to("meta")
    assert not moved.exact
    assert moved.lengths.device.type == "meta"


@pytest.mark.parametrize(
    ("metric", "text"),
    [(Metric(0.5, 0.25, 0.75), "0.5000 [0.2500, 0.7500]"), (Metric(0.5), "0.5000"), (Metric(0.5, 0.25), "0.5000")],
)
def test_a_metric_is_written_with_its_whole_interval_or_none(metric: Metric, text: str) -> None:
    assert str(metric) == text


def test_metrics_survive_json() -> None:
    made = json.loads(json.dumps(metrics_as_json({"uar": Metric(0.5, 0.25, 0.75), "eer": Metric(0.1)})))
    assert Metric.from_json(made["uar"]) == Metric(0.5, 0.25, 0.75)
    assert Metric.from_json({"value": 1, "low": 0.5, "high": 1.0, "of": "tomorrow"}) == Metric(1.0, 0.5, 1.0)
    bare = {"value": 0.1, "low": None, "high": None, "num_clusters": None, "cluster": "", "remark": ""}
    assert made["eer"] == bare
