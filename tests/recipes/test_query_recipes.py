"""Query by example: QUESST 2014 in its published layout, in miniature, and searches made of digits and wake words."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import soundfile
from toys.published import write_quesst14
from toys.recipes import RECIPES, needs_recordings, noise, prepare, rows_of, run_script

from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv


def columns(manifest: Path) -> dict[str, tuple[str, str]]:
    """(query, terms) of each row by its name."""
    rows = [(row["id"], row["supervisions"][0]["custom"]) for row in rows_of(manifest)]
    return {Path(name).name: (said["query"], said["terms"]) for name, said in rows}


def make_queries(recipe: str, monkeypatch: pytest.MonkeyPatch, manifests: Path, out: Path) -> None:
    script = RECIPES / recipe / "queries.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(manifests), str(out)])
    runpy.run_path(str(script), run_name="__main__")


def test_quesst14_from_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare("quesst14", monkeypatch, write_quesst14(tmp_path), tmp_path / "out")
    assert "dev 7, test 7, train 5" in capsys.readouterr().out
    dev, test = (columns(tmp_path / "out" / f"{split}.jsonl.gz") for split in ("dev", "test"))
    assert dev["quesst14_dev_0001"] == ("quesst14_dev_0001", "")
    assert dev["quesst14_00001"] == dev["quesst14_00004"] == ("", "quesst14_dev_0001")
    assert dev["quesst14_00003"] == ("", "")
    assert test["quesst14_00005"] == ("", "quesst14_eval_0002")
    prepare("quesst14", monkeypatch, tmp_path / "quesst14Database", tmp_path / "all", "--language", "all")
    assert "dev 8, test 8, train 6" in capsys.readouterr().out


def test_quesst14_that_is_not_whole_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_quesst14(tmp_path)
    with pytest.raises(SystemExit, match="nothing in 'basque'; there are albanian, nnenglish"):
        prepare("quesst14", monkeypatch, root, tmp_path / "out", "--language", "basque")
    truth = root / "scoring" / "groundtruth_quesst14_dev" / "quesst14_dev.rttm"
    truth.write_text("NOTHING\n")
    with pytest.raises(SystemExit, match="says of no query where it is"):
        prepare("quesst14", monkeypatch, root, tmp_path / "out")
    truth.unlink()
    with pytest.raises(SystemExit, match="has no scoring/groundtruth_quesst14_dev/quesst14_dev.rttm"):
        prepare("quesst14", monkeypatch, root, tmp_path / "out")
    with pytest.raises(SystemExit, match="give the unpacked quesst14Database"):
        prepare("quesst14", monkeypatch, tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_quesst14_from_its_folders_to_the_table(tmp_path: Path) -> None:
    write_quesst14(tmp_path)
    done = run_script(
        RECIPES / "quesst14" / "run.sh",
        "--data",
        str(tmp_path),
        "--upstream",
        "log_mel",
        cwd=tmp_path,
        AUDIOSSL_DATA="",
    )
    assert done.returncode == 0, done.stderr
    assert "mtwv" in done.stdout
    facts = json.loads((tmp_path / "runs/quesst14/query_by_example/log_mel-seed0/test/metrics.json").read_text())
    assert (facts["num_queries"], facts["num_documents"], facts["normalization"]) == (2, 5, "z")
    assert facts["threshold"] == 2.0


def test_digits_in_strings_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two takes of four digits by each of the six speakers."""
    rows = ["path,speaker,label,split"]
    for place, speaker in enumerate(("george", "jackson", "lucas", "nicolas", "theo", "yweweler")):
        for digit in range(4):
            for take in range(2):
                path = noise(tmp_path / "audio" / f"{digit}_{speaker}_{take}.wav", 100 * place + 10 * digit + take, 0.3)
                rows.append(f"{path},{speaker},{digit},{('train', 'dev', 'test')[digit % 3]}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(rows) + "\n")
    write_manifests(cuts_from_csv(table), tmp_path / "manifests")
    make_queries("fsdd", monkeypatch, tmp_path / "manifests", tmp_path / "out")
    for split, asking, telling in (
        ("dev", {"nicolas"}, {"george"}),
        ("test", {"theo", "yweweler"}, {"jackson", "lucas"}),
    ):
        found = [row["supervisions"][0] for row in rows_of(tmp_path / "out" / f"{split}.jsonl.gz")]
        queries = [row for row in found if row["custom"]["query"]]
        documents = [row for row in found if not row["custom"]["query"]]
        assert {row["speaker"] for row in queries} == asking
        assert {row["speaker"] for row in documents} == telling
        assert (len(queries), len(documents)) == (8 * len(asking), 60 * len(telling))
        assert all(len(set(row["custom"]["terms"].split("|"))) == 3 for row in documents)
    made = tmp_path / "out" / "documents" / "dev_george_00.flac"
    assert soundfile.info(made).duration == pytest.approx(3 * 0.3 + 2 * 0.1)
    first = made.read_bytes()
    make_queries("fsdd", monkeypatch, tmp_path / "manifests", tmp_path / "out")
    assert made.read_bytes() == first


@needs_recordings
@pytest.mark.slow
def test_wake_words_among_wake_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare("wakewords", monkeypatch, Path(os.environ["AUDIOSSL_DATA"]) / "wakewords", tmp_path / "manifests")
    make_queries("wakewords", monkeypatch, tmp_path / "manifests", tmp_path / "out")
    dev, test = (columns(tmp_path / "out" / f"{split}.jsonl.gz") for split in ("dev", "test"))
    assert (len(dev), len(test)) == (217, 229)
    documents = [{name for name, said in rows.items() if not said[0]} for rows in (dev, test)]
    assert not documents[0] & documents[1]
