"""From scores to predictions: dev chooses weights, and a task in training takes the best path."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.asr import spelling_asr, spoken_batch

from audiossl.core.errors import ConfigError
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoder import Decoder
from audiossl.downstreams.asr.task import Asr

pytest.importorskip("flashlight.lib.text.decoder")


def test_dev_chooses_weights_that_a_prediction_then_needs(tmp_path: Path) -> None:
    task = spelling_asr()
    batch = spoken_batch(6, seed=3)
    try:
        task.keep_emissions()
        rows = task.predict(batch)
    finally:
        task.keeps_emissions = False
    (tmp_path / "words.txt").write_text("\n".join({word for row in rows for word in row["target"].split()}))
    searched = Decoder(task.units, DecodingConfig("beam", lexicon=str(tmp_path / "words.txt")))
    assert searched.weights is None
    with pytest.raises(ConfigError, match="are what dev chooses"):
        searched.of_emissions(rows[0])
    searched.tune(rows)
    assert searched.weights is not None
    found = [searched.of_emissions(row) for row in rows]
    assert [row["predicted"] for row in found] == [row["predicted"] for row in task.predict(batch)]
    assert searched.facts()["chosen_on_dev"]["items"] == 6
    with pytest.raises(ConfigError, match="dev has no transcript to choose"):
        searched.tune([{**rows[0], "target": None}])


def test_a_task_in_training_takes_the_best_path() -> None:
    task = spelling_asr()
    twin = Asr(task.upstream, task.interface, task.config)
    twin.load_state_dict(task.state_dict())
    twin.decoder = Decoder(task.units, DecodingConfig("beam"))
    twin.begin_step(0)
    batch = spoken_batch(2, seed=5)
    assert twin.eval().predict(batch) == task.predict(batch)
