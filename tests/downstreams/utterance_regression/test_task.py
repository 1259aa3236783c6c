"""Numbers of recordings: contract, losses, figures and errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from toys.targets import target_batch, target_cut, target_task, trained

from audiossl import check_downstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.downstreams.utterance_regression.task import UtteranceRegression


def toy_task(batch: Batch, **options: Any) -> UtteranceRegression:
    made = target_task("utterance_regression", batch, **{"label_fields": ["khz", "noise_db"], **options})
    assert isinstance(made, UtteranceRegression)
    return made


@pytest.mark.parametrize(("loss", "pooling"), [("mse", "mean"), ("l1", "max"), ("huber", "statistics")])
def test_it_keeps_the_contract(loss: str, pooling: str) -> None:
    batch = target_batch(8, missing=0.2)
    check_downstream(toy_task(batch, loss=loss, pooling=pooling), batch)


def test_it_learns_by_every_loss() -> None:
    batch, other = target_batch(36), target_batch(36, seed=1)
    for loss in ("mse", "l1", "huber", "ccc"):
        task = trained(toy_task(batch, loss=loss), batch, 150)
        found = task.score(task.predict(other))
        assert found["khz.ccc"].value > 0.85, loss
        assert found["ccc"].value == pytest.approx((found["khz.ccc"].value + found["noise_db.ccc"].value) / 2)


def test_one_column_has_plain_names_and_systems_theirs() -> None:
    batch = target_batch(24)
    task = trained(toy_task(batch, label_fields=["noise_db"]), batch, 30)
    rows = task.predict(batch)
    assert json.loads(json.dumps(rows)) == rows
    found = task.score(rows)
    plain = ["ccc", "pearson", "spearman", "rmse", "mae"]
    assert list(found) == [*plain, *(f"system_{name}" for name in plain)]
    means = {
        key: [np.mean([row[key]["noise_db"] for row in rows if row["system"] == f"x{n}"]) for n in range(4)]
        for key in ("target", "predicted")
    }
    assert found["system_spearman"].value == pytest.approx(stats.spearmanr(*means.values()).statistic)
    assert found["system_ccc"].cluster == "system"


def test_several_columns_have_means_of_what_has_no_unit() -> None:
    batch = target_batch(24)
    found = toy_task(batch).score(toy_task(batch).predict(batch))
    assert {"ccc", "pearson", "spearman", "system_spearman"} <= set(found)
    assert not {"rmse", "mae"} & set(found)
    assert found["ccc"].num_clusters == 6
    assert "no interval" in found["spearman"].remark


def test_targets_are_standardised_by_training_rows_and_predictions_are_not() -> None:
    batch = target_batch(12)
    task = toy_task(batch, label_fields=["noise_db"])
    values = [float(cut.supervisions[0].custom["noise_db"]) for cut in batch.cuts]
    assert task.config.means == [pytest.approx(np.mean(values))]
    assert task.config.scales == [pytest.approx(np.std(values))]
    with torch.no_grad():
        for parameter in task.heads.parameters():
            parameter.zero_()
    for row in task.predict(batch):
        assert row["predicted"]["noise_db"] == pytest.approx(np.mean(values), abs=1e-4)


def test_predictions_are_clipped_only_if_asked() -> None:
    batch = target_batch(12)
    free = toy_task(batch, label_fields=["khz"])
    with torch.no_grad():
        free.heads[0].linear.bias.fill_(50.0)
    assert free.predict(batch)[0]["predicted"]["khz"] > 10
    bound = toy_task(batch, label_fields=["khz"], least=0.0, most=3.0)
    bound.load_trainable_state(free.trainable_state())
    assert bound.predict(batch)[0]["predicted"]["khz"] == 3
    assert float(bound.loss(batch).total.detach()) == pytest.approx(float(free.loss(batch).total.detach()))
    with pytest.raises(ConfigError, match="least=5 of khz must be below most=3"):
        toy_task(batch, label_fields=["khz"], least=5.0, most=3.0)


def test_what_chooses_checkpoints() -> None:
    batch = target_batch(12)
    assert toy_task(batch).monitor == ("ccc", "max")
    assert toy_task(batch, label_fields=["khz"], monitor="system_rmse").monitor == ("system_rmse", "min")
    with pytest.raises(ConfigError, match="monitor=mae is in the unit of a column, and there are 2 columns"):
        toy_task(batch, monitor="mae")
    with pytest.raises(ConfigError, match="monitor"):
        toy_task(batch, monitor="r2")


def test_columns_that_cannot_be_used() -> None:
    batch = target_batch(6)
    with pytest.raises(ConfigError, match="must name at least one column, and each of them once"):
        toy_task(batch, label_fields=["khz", "khz"])
    with pytest.raises(
        LabelError, match=r"item-0' of training has in the field 'pitch' 'low', which is no finite number"
    ):
        toy_task(batch, label_fields=["pitch"])
    with pytest.raises(LabelError, match="apart by ccc: khz is 1 in all rows that have it"):
        toy_task(batch, label_fields=["khz"]).check_split([target_cut(0, khz="1")], "dev")
    toy_task(batch, label_fields=["khz"], monitor="mae").check_split([target_cut(0, khz="1")], "dev")


def test_what_predict_prints() -> None:
    batch = target_batch(6)
    row = toy_task(batch).predict(batch)[0]
    assert list(toy_task(batch).columns(row)) == ["khz", "noise_db"]
