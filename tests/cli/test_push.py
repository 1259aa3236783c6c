"""`audiossl push`, and commands on what was pushed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.hub import Hub

from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.start import train

Cli = Callable[..., Any]


def test_push_predict_evaluate_embed(
    audiossl: Cli,
    experiment: Callable[..., Any],
    hub: Hub,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})  # they take most of the time
    run = train(experiment("upstream=log_mel", "trainer.steps=2", "trainer.eval_every=2"), tmp_path / "run")
    dry = audiossl("push", run, "me/tones", "--dry-run", tmp_path / "sent", "--licence", "mit")
    assert dry.code == 0
    assert "checkpoints/best.safetensors" in dry.out
    assert f"bytes would be sent to me/tones; they are in {tmp_path / 'sent'}" in dry.out
    assert not hub.asked
    again = audiossl("push", run, "me/tones", "--dry-run", tmp_path / "sent")
    assert (again.code, again.err) == (2, f"error: {tmp_path / 'sent'} is not empty; name a new folder.\n")

    sent = json.loads(audiossl("push", run, "me/tones", "--private", "--json").out)
    assert sent["revision"] in hub.repositories["me/tones"].commits
    sound = corpus.parent / "audio" / "test" / "high_0.wav"
    expected = audiossl("predict", run, sound, "--json").out
    assert audiossl("predict", "hf:me/tones", sound, "--json").out == expected
    assert audiossl("predict", tmp_path / "sent", sound, "--json").out == expected
    evaluated = audiossl("evaluate", "hf:me/tones", f"data.dir={corpus}")
    assert "accuracy" in evaluated.out
    assert evaluated.out.endswith("/test\n")
    assert audiossl("embed", "hf:me/tones", sound, "--out", tmp_path / "e.npz").code == 0
    wrong = audiossl("push", run, "tones")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
