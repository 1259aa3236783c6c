"""The prompts' recipe: transcripts as spoken, texts in one split, and ten prompts learnt by heart with the encoder."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from toys.asr import cut_of

from audiossl.data.folds import draw_folds
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.experiments.config import read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "asterisk"
needs_recordings = pytest.mark.skipif("AUDIOSSL_DATA" not in os.environ, reason="AUDIOSSL_DATA names no recordings")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(RECIPE / "prepare.py"))


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Press 1, or the # key.", "press one or the pound key"),
        ("...has joined the conference.", "has joined the conference"),
        ("press * to toggle", "press star to toggle"),
        ("We're sorry - call-forward", "we're sorry call forward"),
        ("H.323", "h three two three"),
    ],
)
def test_transcripts_as_spoken(script: dict[str, Any], written: str, spoken: str) -> None:
    assert script["spoken"](written) == spoken


def test_a_text_is_in_one_split(script: dict[str, Any]) -> None:
    rows = [("a", "test"), ("b", "dev"), ("a", "train"), ("b", "test"), ("c", "test")]
    made = script["one_split_a_text"]([{"transcript": text, "split": split} for text, split in rows])
    assert [row["split"] for row in made] == ["train", "dev", "train", "dev", "test"]


@pytest.mark.parametrize(
    ("text", "action", "topic", "slots"),
    [
        (
            "press one to delete this message",
            "press",
            "message",
            "press B-key one E-key to delete this B-message message E-message",
        ),
        (
            "that pin is invalid for this conference",
            "refuse",
            "conference",
            "that pin is invalid for this B-conference conference E-conference",
        ),
        ("please enter the phone number", "enter", "call", "please enter the B-call phone number E-call"),
        ("thank you", "tell", "other", "thank you"),
    ],
)
def test_what_a_prompt_asks_for_follows_from_its_words(
    script: dict[str, Any], text: str, action: str, topic: str, slots: str
) -> None:
    assert script["asked"](text.split()) == {"action": action, "topic": topic, "slots": slots}


def test_prompts_with_the_same_words_are_in_one_fold() -> None:
    config = read_experiment(RECIPE / "intents.yaml")
    assert (config.folds.group, config.data.all) == ("text", "requests.jsonl.gz")
    cuts = [cut_of(str(number), f"text {number // 2}", 1.0) for number in range(40)]
    for fold in draw_folds(cuts, config.folds, 0, "all"):
        texts = [{cut.supervisions[0].text for cut in rows} for _, rows in fold.parts()]
        assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])


@pytest.mark.long
@pytest.mark.slow
@needs_recordings
def test_ten_prompts_are_learnt_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fine-tuned, the shipped encoder reaches no error at all on ten training utterances."""
    source = Path(os.environ["AUDIOSSL_DATA"]) / "asterisk_en"
    monkeypatch.setattr(sys, "argv", ["prepare.py", str(source), str(tmp_path / "all")])
    runpy.run_path(str(RECIPE / "prepare.py"), run_name="__main__")
    cuts = read_manifest(tmp_path / "all" / "train.jsonl.gz")
    ten = cuts.filter(lambda cut: cut.duration < 2.0 and len(cut.supervisions[0].text.split()) > 2).subset(first=10)
    write_manifests({"train": ten, "dev": ten}, tmp_path)
    settings = [
        *("upstream=tera_mini", "finetune.mode=all", "finetune.lr=1e-3", "finetune.freeze_steps=30"),
        *("task.text.size=100", "task.head.dropout=0", "data.batch_size=5", f"data.dir={tmp_path}"),
        *("task.spec_augment.num_time_masks=0", "task.spec_augment.num_feature_masks=0"),
        *(
            "trainer.steps=400",
            "trainer.eval_every=50",
            "trainer.warmup_steps=10",
            "trainer.lr=4e-3",
            "trainer.hold_share=0.8",
        ),
    ]
    train(read_experiment(RECIPE / "asr.yaml", settings), tmp_path / "run")
    scores = load_run(tmp_path / "run").evaluate("train")
    assert scores["wer"].value == 0.0
    rows = [json.loads(line) for line in (tmp_path / "run" / "train" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 10
    assert all(row["predicted"] == row["target"] for row in rows)
