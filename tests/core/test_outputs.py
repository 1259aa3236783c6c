"""Where a command may write: what must not be replaced, and what cannot be written, is known before it begins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiossl.core.errors import OutputError
from audiossl.core.outputs import check_new, check_out


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with an input and a folder in it."""
    (tmp_path / "rec.wav").write_bytes(b"RIFF")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.wav").symlink_to("rec.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_place_that_is_free_is_taken_and_left_as_it_is(here: Path) -> None:
    for out in ("new.txt", "folder/new.txt", "deep/er/new.txt", str(here / "new.txt")):
        check_out(Path(out), "file", ["rec.wav", "hf:some/model", "a\0b"])
    check_out(Path("folder"), "folder", ["rec.wav"])
    check_out(Path("folder/new"), "folder")
    assert sorted(os.listdir(here)) == ["folder", "link.wav", "rec.wav"]
    assert os.listdir(here / "folder") == []


@pytest.mark.parametrize("out", ["rec.wav", "folder/../rec.wav", "link.wav"])
def test_an_input_is_not_replaced(here: Path, out: str) -> None:
    for given in ("rec.wav", here / "rec.wav", "link.wav"):
        with pytest.raises(OutputError, match=f"^{out} is an input of this command"):
            check_out(Path(out), "file", ["other.wav", given])


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        ("folder", "file", "folder is a folder; name a file in it."),
        (".", "file", ". is a folder; name a file in it."),
        ("rec.wav", "folder", "rec.wav is no folder and would be replaced; choose another place."),
        ("/dev/null", "file", "/dev/null is no file and would be replaced; choose another place."),
        ("rec.wav/x.txt", "file", "rec.wav/x.txt cannot be written (Not a directory); choose another place."),
        ("rec.wav/x/y", "folder", "rec.wav/x/y cannot be written (Not a directory); choose another place."),
        ("/proc/x", "file", "/proc/x cannot be written (No such file or directory); choose another place."),
        ("y" * 256, "file", f"{'y' * 256} cannot be written (File name too long); choose another place."),
        ("ü" * 128, "folder", f"{'ü' * 128} cannot be written (File name too long); choose another place."),
        ("a\0b", "file", "a\0b cannot be written (a name cannot have the character NUL); choose another place."),
    ],
)
def test_what_cannot_be_written_is_one_sentence(here: Path, out: str, kind: str, message: str) -> None:
    with pytest.raises(OutputError) as caught:
        check_out(Path(out), kind)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_the_longest_name_that_there_is(here: Path) -> None:
    check_out(Path("y" * 255), "file")


def test_a_file_of_another_kind_is_somebodys_own(here: Path) -> None:
    with pytest.raises(OutputError, match=r"^rec\.wav is there and is no result of this command"):
        check_out(Path("rec.wav"), "file", begins=b"{")
    (here / "old.jsonl").write_text('{"id": "a"}\n')
    (here / "empty.jsonl").touch()
    check_out(Path("old.jsonl"), "file", begins=b"{")
    check_out(Path("empty.jsonl"), "file", begins=b"{")


def test_what_may_be_made_by_hand_is_replaced_only_where_that_is_asked_for(here: Path) -> None:
    (here / "talk.TextGrid").write_text("by hand")
    with pytest.raises(OutputError, match=r"talk\.TextGrid is there already; choose another --out, or .* --overwrite"):
        check_new(Path("talk.TextGrid"), ["rec.wav"])
    check_new(Path("talk.TextGrid"), ["rec.wav"], overwrite=True)
    check_new(Path("new.TextGrid"), ["rec.wav"])
    with pytest.raises(OutputError, match="is an input"):
        check_new(Path("rec.wav"), ["rec.wav"], overwrite=True)
