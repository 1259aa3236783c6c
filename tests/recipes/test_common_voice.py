"""Common Voice's recipe on a miniature language in the published layout: tones in place of speech."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.published import SENTENCES, write_common_voice
from toys.recipes import RECIPES, prepare, rows_of, run_script


def speakers_of(manifest: Path) -> set[str]:
    return {row["supervisions"][0]["speaker"] for row in rows_of(manifest)}


def test_tables_are_splits_and_validated_leaves_out_who_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_common_voice(tmp_path)
    prepare("common_voice", monkeypatch, root, tmp_path / "out")
    expected = {"train": {"a" * 8, "b" * 8}, "dev": {"c" * 8, "d" * 8}, "test": {"e" * 8, "f" * 8}}
    for split, speakers in expected.items():
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert len(rows) == 2 * len(SENTENCES)
        assert speakers_of(tmp_path / "out" / f"{split}.jsonl.gz") == speakers
    assert rows[0]["supervisions"][0]["text"] == "Go on!"
    prepare("common_voice", monkeypatch, root, tmp_path / "more", "--train", "validated")
    assert speakers_of(tmp_path / "more" / "train.jsonl.gz") == {letter * 8 for letter in "abgh"}


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_common_voice(tmp_path)
    with pytest.raises(SystemExit, match="is no folder of Common Voice"):
        prepare("common_voice", monkeypatch, root.parent, tmp_path / "out")
    (root / "dev.tsv").unlink()
    with pytest.raises(SystemExit, match=r"has no dev\.tsv"):
        prepare("common_voice", monkeypatch, root, tmp_path / "out")


@pytest.mark.slow
def test_from_raw_folders_to_the_result_table(tmp_path: Path) -> None:
    sizes = [
        "task.head.hidden=32",
        "task.head.projector_width=32",
        "task.head.frame_s=0.02",
        "task.head.normalize=true",
    ]
    masks = ["task.spec_augment.num_time_masks=0", "task.spec_augment.num_feature_masks=0", "task.head.num_layers=1"]
    rest = [
        "trainer.lr=1e-2",
        "trainer.eval_every=100",
        "trainer.warmup_steps=10",
        "data.batch_size=8",
    ]
    flags = ["--data", str(write_common_voice(tmp_path)), "--upstream", "log_mel", "--steps", "200"]
    done = run_script(
        RECIPES / "common_voice" / "run.sh",
        *flags,
        *sizes,
        *masks,
        *rest,
        cwd=tmp_path,
        AUDIOSSL_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "common_voice" / "asr" / "log_mel-seed0"
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["metrics"]["wer"]["value"] < 0.3
    assert facts["normalization"]["punctuation"] == "strip"
