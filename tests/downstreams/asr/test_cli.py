"""`audiossl align`, after training and predicting on the command line."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import soundfile
from toys.asr import RATE, spell

from audiossl.cli.main import main


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["audiossl", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise


def test_train_predict_and_align_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a table of sound files to a run folder that recognises and aligns without anything else of the training."""
    monkeypatch.chdir(tmp_path)
    with open("table.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "transcript", "split"])
        for number, text in enumerate(["ab", "ba c", "cab", "a bc"] * 2):
            soundfile.write(f"{number}.wav", spell(text)[0].numpy(), RATE, subtype="PCM_16")
            table.writerow([f"{number}.wav", text, "train" if number < 6 else "dev"])
    command(monkeypatch, "data", "from-csv", "table.csv", "manifests")
    options = ["task.text.kind=bpe", "task.text.size=6", "task.head.hidden=8", "trainer.steps=2", "data.batch_size=4"]
    Path("recipe.yaml").write_text("downstream: asr\nupstream: log_mel\ndata:\n  dir: manifests\n")
    command(monkeypatch, "train", "recipe.yaml", "--out", "run", *options)
    for name in ("manifests", "table.csv", "recipe.yaml"):
        Path(name).rename(f"gone_{name}")
    capsys.readouterr()
    command(monkeypatch, "predict", "run", "0.wav", "--json")
    row = json.loads(capsys.readouterr().out)
    assert row["id"] == "0"
    assert {"predicted", "words"} <= set(row)
    (tmp_path / "said.txt").write_text("\ufeffba c\n", encoding="utf-8")
    command(monkeypatch, "align", "run", "1.wav", "said.txt", "--out", "aligned", "--json")
    made = json.loads(capsys.readouterr().out)
    assert [word for word, *_ in made["words"]] == ["ba", "c"]
    assert "".join(piece for piece, *_ in made["pieces"]).replace("▁", "") == "bac"
    assert (tmp_path / "aligned" / "1.TextGrid").read_text().startswith('File type = "ooTextFile"\n')
    assert (tmp_path / "aligned" / "1.ctm").read_text().count("\n") == 2
    # What was made by hand is not replaced, and the recording neither.
    (tmp_path / "1.TextGrid").write_text("by hand")
    for out, message in ((".", "1.TextGrid is there already"), ("1.wav", "1.wav is an input of this command")):
        with pytest.raises(SystemExit):
            command(monkeypatch, "align", "run", "1.wav", "ba c", "--out", out)
        assert capsys.readouterr().err.startswith(f"error: {message}")
    assert (tmp_path / "1.TextGrid").read_text() == "by hand"
    command(monkeypatch, "align", "run", "1.wav", "ba c", "--overwrite")
    assert (tmp_path / "1.TextGrid").read_text().startswith("File type")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        command(monkeypatch, "align", "run", "2.wav", "zebra")
    assert capsys.readouterr().err.startswith("error: The text has 'z'")
