"""TIMIT's recipe on a miniature corpus in the published layout: a tone for each phone."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from lhotse.recipes.timit import get_phonemes
from toys.published import write_timit
from toys.recipes import RECIPES, prepare, rows_of, run_script

from audiossl.core.config import read_yaml
from audiossl.core.files import read_jsonl

MODULE = runpy.run_path(str(RECIPES / "timit" / "prepare.py"))


def test_folding_is_that_of_lhotse_but_for_the_glottal_stop() -> None:
    """lhotse knows 60 phones (without q) and their 48 and 39, from Kaldi's table."""
    for num in (48, 39):
        known = get_phonemes(num)
        own = {phone: MODULE["folded"](phone, num) for phone in MODULE["PHONES_61"] - {"q"}}
        assert own == {phone: known[phone] for phone in own}
        assert len(set(own.values())) == num
    assert MODULE["folded"]("q", 39) is None and MODULE["folded"]("q", 61) == "q"
    assert len(MODULE["PHONES_61"]) == 61


def test_the_yaml_folds_as_the_manifests_do() -> None:
    folding = read_yaml(RECIPES / "timit" / "phone_recognition_61.yaml")["task"]["folding"]
    for phone in MODULE["PHONES_61"]:
        assert folding.get(phone, phone) == (MODULE["folded"](phone, 39) or "")
        of_48 = MODULE["folded"](phone, 48)
        assert of_48 is None or folding.get(of_48, of_48) == MODULE["folded"](phone, 39)


@pytest.mark.parametrize("sphere", [False, True])
def test_rows_have_phones_and_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sphere: bool) -> None:
    prepare("timit", monkeypatch, write_timit(tmp_path, sphere), tmp_path / "out")
    speakers = {"train": {"fcjf0", "mdac0"}, "dev": {"fadg0", "faks0"}, "test": {"felc0", "mdab0"}}
    for split, names in speakers.items():
        rows = rows_of(tmp_path / "out" / f"{split}.jsonl.gz")
        assert {row["supervisions"][0]["speaker"] for row in rows} == names
        assert len(rows) == 16 and not any("-sa" in row["id"] for row in rows)
        for row in rows:
            said = row["supervisions"][0]
            lines = [line.split() for line in _phn(tmp_path, row["id"]).read_text().splitlines()]
            folded = [(begin, end, MODULE["folded"](phone, 39)) for begin, end, phone in lines]
            kept = [(int(begin) / 16000, int(end) / 16000, label) for begin, end, label in folded if label]
            assert said["custom"]["phones"].split() == [label for *_, label in kept]
            assert said["custom"]["phones61"].split() == [phone for *_, phone in lines]
            tier = [(item[1], item[1] + item[2], item[0]) for item in said["alignment"]["phone"]]
            assert [label for *_, label in tier] == [label for *_, label in kept]
            for found, known in zip(tier, kept, strict=True):
                assert found[:2] == pytest.approx(known[:2], abs=1e-4)
            assert said["text"] == "See the sea."
            assert said["custom"]["sex"] == said["speaker"][0]


def _phn(folder: Path, name: str) -> Path:
    speaker, sentence = name.upper().split("-")
    [path] = folder.glob(f"TIMIT/*/DR1/{speaker}/{sentence}.PHN")
    return path


def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_timit(tmp_path)
    with pytest.raises(SystemExit, match="has no TRAIN; give the unpacked LDC93S1"):
        prepare("timit", monkeypatch, tmp_path / "TIMIT" / "TEST", tmp_path / "out")
    path = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX127.PHN"
    good = path.read_text()
    for text, message in (
        ("0 100 zz\n", "has no phone of TIMIT's 61"),
        ("0 h#\n", "must be `BEGIN END PHONE`"),
        ("0 99999999 s\n", "goes on after the end"),
    ):
        path.write_text(text)
        with pytest.raises(SystemExit, match=message):
            prepare("timit", monkeypatch, tmp_path, tmp_path / "out")
    path.write_text(good)
    path.with_suffix(".WAV").unlink()
    with pytest.raises(SystemExit, match="FCJF0 has no WAV beside .*unpack TIMIT again"):
        prepare("timit", monkeypatch, tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_from_raw_folders_to_the_result_table(tmp_path: Path) -> None:
    flags = ["--data", str(write_timit(tmp_path)), "--upstream", "log_mel", "--steps", "400", "trainer.eval_every=200"]
    flags += ["--task", "phone_recognition", "--task", "frames", "--task", "phone_recognition_61"]
    done = run_script(
        RECIPES / "timit" / "run.sh", *flags, "trainer.lr=1e-2", cwd=tmp_path, AUDIOSSL_CACHE=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stderr
    expected = [("phone_recognition", "per", 0.0, 0.5), ("frames", "accuracy", 0.8, 1.0)]
    for task, metric, low, high in [*expected, ("phone_recognition_61", "per", 0.0, 0.5)]:
        run = tmp_path / "runs" / "timit" / task / "log_mel-seed0"
        facts = json.loads((run / "test" / "metrics.json").read_text())
        assert low <= facts["metrics"][metric]["value"] <= high
        assert facts["metrics"][metric]["num_clusters"] == 2
    runs = tmp_path / "runs" / "timit"
    targets = [
        [(row["id"], row["target"]) for row in read_jsonl(runs / task / "log_mel-seed0/test/predictions.jsonl")]
        for task in ("phone_recognition", "phone_recognition_61")
    ]
    assert targets[0] == targets[1]  # trained on 39 and on 61, both scored on 39
    assert len(facts["normalization"]["folding"]) > 20
