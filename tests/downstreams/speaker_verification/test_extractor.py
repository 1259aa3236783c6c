"""A trained run as an encoder of voices: the contract, embeddings as predicted, and a second task on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.testing import check_upstream
from audiossl.experiments.config import read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train


def test_it_keeps_the_contract_and_gives_what_predict_gives(run: Path, corpus: Path) -> None:
    extractor = load_upstream(f"extractor:{run}")
    extractor.get_submodule("interface").requires_grad_(False)  # the weight of the only layer changes nothing
    check_upstream(extractor, seconds=(0.31, 0.5))
    (row,) = load_run(run).predict([str(corpus / "s10-0.wav")])
    wav = torch.from_numpy(soundfile.read(corpus / "s10-0.wav", dtype="float32")[0])
    with torch.no_grad():
        layer = extractor(wav[None]).layers[0][0]
    assert layer.shape == (extractor.num_frames(len(wav)), 16)
    np.testing.assert_allclose(layer.mean(dim=0), row["embedding"], atol=1e-4)


def test_another_task_trains_on_it(run: Path, corpus: Path, tmp_path: Path) -> None:
    settings = ["downstream=utterance_classification", f"upstream=extractor:{run}", f"data.dir={corpus}"]
    more = ["task.label_field=speaker", "trainer.steps=2", "trainer.eval_every=2", "data.dev=train.jsonl.gz"]
    made = train(read_experiment(None, [*settings, *more]), tmp_path / "run")
    assert load_run(made).predict([str(corpus / "s0-0.wav")])[0]["id"] == "s0-0"


def test_what_is_no_extractor_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is as it was trained; leave"):
        load_upstream(f"extractor:{run}", weights="random")
    with pytest.raises(AudiosslError, match="is not a run folder"):
        load_upstream(f"extractor:{tmp_path}")
