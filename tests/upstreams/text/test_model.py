"""A sentence encoder of transformers on transcripts: its own states, whatever stands beside a text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.rows import rows_that_say, text_folder

from audiossl import load_objective, load_run, load_upstream, read_experiment, train
from audiossl.core.errors import CheckpointError, ConfigError, LabelError
from audiossl.core.tensors import fingerprint
from audiossl.data.loader import collate

transformers = pytest.importorskip("transformers")
TEXTS = ("yes good day", "no", "never bad rain day", "sun", "no rain")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(text_folder(tmp_path_factory.mktemp("bert")))


def batch_of(folder: Path, texts: tuple[str, ...] = TEXTS) -> Any:
    return collate(list(rows_that_say(folder, [{"transcript": text} for text in texts])), 16000)


def test_states_are_those_of_the_model_alone(folder: str, tmp_path: Path) -> None:
    """With the mean over all tokens, and with the first."""
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (transformers.BertModel, transformers.BertTokenizerFast)
    )
    batch = batch_of(tmp_path)
    with torch.no_grad():
        mean = load_upstream("text", model=folder).of_batch(batch)
        first = load_upstream("text", model=folder, pooling="first").of_batch(batch)
        for item, text in enumerate(TEXTS):
            states = model.eval()(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
            assert len(states) == len(mean.layers) == 3
            for layer, state in enumerate(states):
                torch.testing.assert_close(mean.layers[layer][item, 0], state[0].mean(0), atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(first.layers[layer][item, 0], state[0, 0], atol=1e-5, rtol=1e-5)
        assert len(load_upstream("text", model=folder).of_batch(batch, up_to_layer=1).layers) == 2


def test_random_weights_are_drawn_from_the_seed(folder: str) -> None:
    pretrained = fingerprint(load_upstream("text", model=folder))
    drawn = [fingerprint(load_upstream("text", model=folder, weights="random", seed=seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert pretrained not in drawn and pretrained == fingerprint(load_upstream("text", model=folder))


@pytest.mark.parametrize("upstream", ["text", "[log_mel,text]"])
def test_a_run_on_texts_is_trained_evaluated_and_loaded(upstream: str, folder: str, tmp_path: Path) -> None:
    said = [{"transcript": TEXTS[n % 2], "label": "ab"[n % 2], "speaker": f"s{n % 4}"} for n in range(8)]
    rows_that_say(tmp_path / "data", said)
    option = "upstream_options.model" if upstream == "text" else "upstream_options.text.model"
    settings = ["downstream=utterance_classification", f"data.dir={tmp_path / 'data'}", f"upstream={upstream}"]
    settings += [f"{option}={folder}", "trainer.steps=40", "trainer.eval_every=20", "data.batch_size=8"]
    train(read_experiment(None, [*settings, f"cache.dir={tmp_path / 'kept'}"]), tmp_path / "run")
    run = load_run(tmp_path / "run", device="cpu")
    assert run.evaluate()["accuracy"].value == 1.0
    with pytest.raises((LabelError, ConfigError), match="nothing in the field 'text'"):
        run.predict([str(tmp_path / "data" / "0.wav")])


def test_texts_are_a_view_among_others(folder: str, tmp_path: Path) -> None:
    """In `multi_view`, whose objective asks for rows too."""
    batch = batch_of(tmp_path)
    options = {"members": ["log_mel", "text"], "member_options": {"text": {"model": folder}}, "width": 8, "hidden": 8}
    views = load_upstream("multi_view", weights="random", **options)
    embedded = views.of_batch(batch)
    assert [tuple(layer.shape) for layer in embedded.layers] == [(5, 1, 8), (5, 1, 8)]
    first = views.of_batch(batch, up_to_layer=0)
    assert len(first.layers) == 1 and torch.equal(first.layers[0], embedded.layers[0])
    objective = load_objective("multi_view", views)
    objective.fit([batch])
    assert objective.loss(batch).total.item() > 0


def test_a_text_beyond_what_the_model_reads_is_refused(folder: str, tmp_path: Path) -> None:
    batch = batch_of(tmp_path, ("yes " * 20, "no"))
    with pytest.raises(LabelError, match=r"Row '0' has 22 tokens in the field 'text', and .* reads 12; cut"):
        load_upstream("text", model=folder).of_batch(batch)


def test_a_model_must_be_told_and_be_whole(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="set upstream_options.model"):
        load_upstream("text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="empty is no text encoder of transformers"):
        load_upstream("text", model=str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[hf\]"):
        load_upstream("text", model=folder)
