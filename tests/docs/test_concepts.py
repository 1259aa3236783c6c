"""The three walks through the code, as docs/concepts.md tells them, are those that the code takes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from toys import miniatures
from toys.core import ROOT

from audiossl import load_upstream

Cli = Callable[..., Any]


def told(title: str) -> list[str]:
    """The functions that a walk names, in its order."""
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    walk = re.search(rf"\*\*{title}\*\*.*?\n\n(.*?)\n\n", text, flags=re.DOTALL)
    assert walk is not None
    assert len(walk[1].splitlines()) == 10
    return re.findall(r"`([a-z_]+(?:\.\w+){2,})`", walk[1])


def called(walk: Callable[[], object]) -> list[str]:
    """Functions of audiossl in the order of their first calls, as `room.module.function`."""
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("audiossl."):
            found.setdefault(f"{module.removeprefix('audiossl.')}.{frame.f_code.co_qualname}")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        walk()
    finally:
        sys.setprofile(before)
    return list(found)


def assert_so(walk: list[str], calls: list[str]) -> None:
    assert [name for name in walk if name not in calls] == []
    assert walk == sorted(walk, key=calls.index)


def test_from_a_wav_to_an_npz(audiossl: Cli, corpus: Path, tmp_path: Path) -> None:
    (wav, *_) = sorted((corpus.parent / "audio" / "test").glob("*.wav"))
    calls = called(lambda: audiossl("embed", "tera_mini", wav, "--out", tmp_path / "emb.npz"))
    assert_so(told("From a wav to an npz"), calls)


def test_from_a_manifest_to_metrics(audiossl: Cli, corpus: Path, tmp_path: Path) -> None:
    run, recipe = tmp_path / "run", tmp_path / "recipe.yaml"
    recipe.write_text(f"upstream: tera_mini\ndata: {{dir: {corpus}}}\ncache: {{dir: {tmp_path / 'cache'}}}\n")
    settings = ("trainer.steps=2", "trainer.eval_every=1", "trainer.device=cpu")

    def walk() -> None:
        assert audiossl("train", recipe, *settings, "--out", run).code == 0
        assert audiossl("evaluate", run).code == 0

    assert_so(told("From a manifest to metrics.json"), called(walk))
    assert (run / "test" / "metrics.json").is_file()


def test_from_a_checkpoint_to_hidden_states(tmp_path: Path) -> None:
    path = miniatures.write(miniatures.namespace_era(miniatures.encoder()), tmp_path / "checkpoint.pt")

    def walk() -> None:
        with torch.inference_mode():
            load_upstream(f"fairseq:{path}")(torch.randn(1, 8000))

    assert_so(told("From a checkpoint to hidden states"), called(walk))


def test_a_walk_in_another_order_is_noticed() -> None:
    assert_so(["a", "c"], ["a", "b", "c"])
    for wrong in (["c", "a"], ["a", "d"]):
        with pytest.raises(AssertionError):
            assert_so(wrong, ["a", "b", "c"])
