"""The model card, read as the hub reads it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.tera import tiny

from audiossl import load_run
from audiossl.core.files import write_json
from audiossl.core.yaml_text import load_yaml
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.publishing.card import encoder_card, run_card
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.start import train

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(
    experiment: Make, tmp_path: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> RunFolder:
    """A copy of a run that is trained once."""
    if not trained:
        settings = ("trainer.steps=2", "trainer.eval_every=2")
        trained["run"] = train(experiment(*settings), tmp_path_factory.mktemp("trained") / "run")
    return RunFolder(shutil.copytree(trained["run"], tmp_path / "run"))


def test_the_hub_reads_licence_and_metrics_with_intervals(run: RunFolder) -> None:
    from huggingface_hub import ModelCard

    metrics = load_run(run.path, device="cpu").evaluate()
    card = ModelCard(run_card(run, run, "me/tones", PushOptions(licence="mit", data="Three | `tones`")))
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("mit", "audiossl", "tones")
    found = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in found.items()} == {k: m.value for k, m in metrics.items()}
    accuracy = found["accuracy"]
    assert (accuracy.task_type, accuracy.dataset_split) == ("audio-classification", "test")
    assert accuracy.metric_args["low"] == metrics["accuracy"].low
    assert accuracy.metric_args["cluster"] == "speaker"
    text = str(card.text)
    assert 'run = load_run("hf:me/tones")' in text
    assert "| test | accuracy (%) | " in text
    assert "95 % intervals over 2 speakers, which is too few to tell much." in text
    assert "Trained on Three \\| 'tones'." in text
    assert "- train: 18 recordings" in text
    assert str(run.path) not in str(card)


def test_what_is_not_known_is_said(run: RunFolder) -> None:
    text = run_card(run, run, "me/tones", PushOptions())
    front = load_yaml(text.split("---\n")[1])
    assert front["model-index"] == [{"name": "tones", "results": []}]
    assert "license" not in front
    for words in ("It was not evaluated.", "None was given: ask the owner", "data that its publisher does not name"):
        assert words in text


def test_a_figure_that_is_none_is_left_out(run: RunFolder) -> None:
    stored = {"metrics": {"wer": {"value": 0.25}, "cer": {"value": float("nan")}}}
    write_json(run.split("test").metrics, stored)
    (result,) = load_yaml(run_card(run, run, "me/x", PushOptions()).split("---\n")[1])["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "wer", "name": "wer", "value": 0.25}]
    assert result["task"]["type"] == "automatic-speech-recognition"


def test_the_card_of_an_encoder() -> None:
    text = encoder_card(tiny(), None, "me/encoder", PushOptions(licence="mit"))
    assert load_yaml(text.split("---\n")[1])["pipeline_tag"] == "feature-extraction"
    for words in (
        'load_upstream("hf:me/encoder")',
        "at 16000 Hz",
        "How it was made is not known.",
        "## Licence\n\nmit.",
    ):
        assert words in text
