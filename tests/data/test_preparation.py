"""What prepare.py scripts share: a table of any text and its rows, names of files, one sentence for an error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.data.preparation import cuts_of_table, described, files_named, folder_parser, run

ROOT = Path(__file__).parents[2]


def test_values_come_back_as_they_were_given(sound: Callable[..., Path], tmp_path: Path) -> None:
    """Names beyond ASCII, commas, quotes, numbers and paths; relative to the root, not to the table."""
    sound("in/Zażółć/gęś, 1.wav", 8000)
    sound("in/b.wav", 4000)
    said = 'Yes, "now"\u2014jetzt, größer'
    rows = [
        {"path": Path("Zażółć/gęś, 1.wav"), "start": 0.1, "end": 0.3, "speaker": "Ø, A", "transcript": said, "take": 7},
        {"path": "b.wav", "start": "", "end": "", "speaker": "b", "transcript": "", "take": 8},
    ]
    table = tmp_path / "made" / "here" / "recordings.csv"
    cuts = list(cuts_of_table(iter(rows), table, tmp_path / "in")["all"])
    first, second = (cut.supervisions[0] for cut in cuts)
    assert [cut.recording.id for cut in cuts] == ["Zażółć/gęś, 1", "b"]
    assert [(cut.start, cut.duration) for cut in cuts] == [(0.1, pytest.approx(0.2)), (0.0, 0.25)]
    assert (first.speaker, first.text, first.custom) == ("Ø, A", said, {"take": "7"})
    assert (second.speaker, second.text, second.custom) == ("b", None, {"take": "8"})
    written = table.read_bytes()
    assert written.startswith(b"path,start,end,speaker,transcript,take\n")
    assert b"\r" not in written
    assert '"Zażółć/gęś, 1.wav",0.1,0.3,"Ø, A",'.encode() in written


def test_splits_are_those_of_the_column(sound: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"path": sound(f"{name}.wav").name, "split": "dev" if name == "b" else "train"} for name in "cba"]
    splits = cuts_of_table(rows, tmp_path / "out" / "table.csv", tmp_path)
    assert {split: [cut.id for cut in cuts] for split, cuts in splits.items()} == {"train": ["c", "a"], "dev": ["b"]}
    assert described(splits) == "train 2, dev 1"
    assert described({"train": [], "test": "abc"}) == "train 0, test 3"


def test_no_row_is_an_error_that_names_the_folder_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=rf"^{re.escape(str(tmp_path))} has no recording for .*table\.csv; give"):
        cuts_of_table((), tmp_path / "out" / "table.csv", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_row_with_a_column_that_the_first_lacks_is_refused(sound: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"path": sound("a.wav").name}, {"path": sound("b.wav").name, "label": "x"}]
    with pytest.raises(ValueError, match="label"):
        cuts_of_table(rows, tmp_path / "table.csv", tmp_path)


def test_files_are_found_by_their_whole_stem(tmp_path: Path) -> None:
    names = ("z/7_ann.wav", "a/b/3_bob.flac", "3_bob.mp3", "3_bob_old.wav", "._7_ann.wav", "README")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pattern = re.compile(r"(\d)_([a-z]+)")
    found = [(path.relative_to(tmp_path).as_posix(), *match.groups()) for path, match in files_named(tmp_path, pattern)]
    assert found == [("a/b/3_bob.flac", "3", "bob"), ("z/7_ann.wav", "7", "ann")]
    assert [path.name for path, _ in files_named(tmp_path, pattern, (".mp3",))] == ["3_bob.mp3"]


def test_arguments_are_two_paths_and_what_a_script_adds(capsys: pytest.CaptureFixture[str]) -> None:
    parser = folder_parser("One line.\n\n    prepare.py FOLDER OUT\n", "the unpacked corpus")
    parser.add_argument("--verify", action="store_true")
    arguments = parser.parse_args(["corpus", "data/x", "--verify"])
    assert (arguments.folder, arguments.out, arguments.verify) == (Path("corpus"), Path("data/x"), True)
    assert "One line.\n\n    prepare.py FOLDER OUT\n" in parser.format_help()
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["corpus"])
    assert "required: out" in capsys.readouterr().err
    assert folder_parser(None, "the corpus", out_nargs="?").parse_args(["corpus"]).out is None


def test_an_error_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    """As a process: what the message of SystemExit becomes is Python's to decide."""
    script = tmp_path / "prepare.py"
    script.write_text(
        "from audiossl.data.preparation import run\nfrom audiossl.core.errors import AudioError\n"
        "def main():\n    raise AudioError('größe.wav cannot be read; save it again.')\nrun(main)\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: größe.wav cannot be read; save it again.\n"


def test_other_errors_are_not_hidden() -> None:
    def fails() -> None:
        raise KeyError("a mistake of the script")

    def refuses() -> None:
        raise AudiosslError("There is no corpus; give one.")

    with pytest.raises(KeyError):
        run(fails)
    with pytest.raises(SystemExit, match=r"^error: There is no corpus; give one\.$"):
        run(refuses)
