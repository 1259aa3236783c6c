"""Kaldi data folders."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from audiossl.core.errors import AudiosslError
from audiossl.data.reading import read_cut
from audiossl.data.sources import cuts_from_kaldi

ONE = {"wav_scp": "r a.wav\n"}


def kaldi(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("wav_scp", "wav.scp")).write_text(text, encoding="utf-8")
    return folder


def test_a_kaldi_folder(sound, tmp_path):
    a, b = sound("my sounds/a.wav", 16000), sound("b.wav", 8000)
    scp = f"rec-a {a}\nrec-b\t{b}\n"
    (cut_a, cut_b) = cuts_from_kaldi(kaldi(tmp_path / "plain", wav_scp=scp, text="rec-a GOOD DAY\nrec-b\n"))["all"]
    assert (cut_a.id, cut_a.num_samples, cut_a.supervisions[0].text) == ("rec-a", 16000, "GOOD DAY")
    assert (cut_b.id, cut_b.supervisions[0].text) == ("rec-b", None)
    files = {
        "text": "u1 ONE\nu2 TWO\n",
        "utt2spk": "u1 anna\nu2 ben\n",
        "segments": "u1 rec-a 0.1 0.35\nu2 rec-a 0.5 -1\n",
    }
    folder = kaldi(tmp_path / "parts" / "train", wav_scp=f"rec-a {a}\n", **files)
    one, two = cuts_from_kaldi(folder.parent)["train"]
    assert [(cut.id, cut.start, cut.num_samples) for cut in (one, two)] == [("u1", 0.1, 4000), ("u2", 0.5, 8000)]
    assert [(cut.supervisions[0].speaker, cut.supervisions[0].text) for cut in (one, two)] == [
        ("anna", "ONE"),
        ("ben", "TWO"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"wav_scp": "r sox x.wav -t wav - |\n"},
            r"wav\.scp line 1: .* is a command, which is not run; write its output",
        ),
        ({"wav_scp": "r lost.wav\n"}, r"wav\.scp line 1: .*lost\.wav is missing"),
        ({"wav_scp": "r lost.wav\n", "segments": "u r 0\n"}, r"segments line 1: 'r 0' is not `recording start end`"),
        ({"wav_scp": "r lost.wav\n", "segments": "u q 0 1\n"}, r"segments line 1: 'q 0 1' is not"),
        ({"text": "u HI\n"}, r"There is no .*wav\.scp"),
        ({"wav_scp": "r a.wav\nr b.wav\n"}, r"wav\.scp line 2: 'r' is there already \(.*wav\.scp line 1\)"),
        ({**ONE, "text": "r HI\n\nr AGAIN\n"}, r"text line 3: 'r' is there already"),
        ({**ONE, "utt2spk": "r ann\nr ben\n"}, r"utt2spk line 2: 'r' is there already"),
        ({**ONE, "segments": "u r 0 1\nu r 1 2\n"}, r"segments line 2: 'u' is there already"),
        ({**ONE, "text": "r HI\nR LOST\ns LOST\n"}, r"text line 2: .*wav\.scp has no 'R' \(2 such\)"),
        ({**ONE, "segments": "u r 0 1\n", "text": "r HI\n"}, r"text line 1: .*segments has no 'r'"),
        ({**ONE, "text": "\n"}, r"wav\.scp line 1: .*text has no 'r'"),
        ({**ONE, "utt2spk": ""}, r"wav\.scp line 1: .*utt2spk has no 'r'"),
        ({"wav_scp": "q a.wav\nr a.wav\n", "segments": "u r 0 1\n"}, r"wav\.scp line 1: no line of .*segments"),
        ({**ONE, "reco2file_and_channel": "r a Z\n"}, r"line 1: 'a Z' is not `file channel`"),
    ],
)
def test_a_wrong_kaldi_folder(tmp_path, files, message):
    with pytest.raises(AudiosslError, match=message):
        cuts_from_kaldi(kaldi(tmp_path / "wrong", **files))


def test_two_sides_of_a_call(sound, tmp_path):
    sides = np.stack([np.full(800, 0.25, np.float32), np.full(800, -0.5, np.float32)], axis=1)
    stereo, mono = sound("pair.wav", sides, 8000, "FLOAT"), sound("mono.wav", 800, 8000)
    scp = f"call-A {stereo}\ncall-B {stereo}\nlone {mono}\n"
    channels = "call-A pair A\ncall-B pair B\nlone mono B\n"  # a side that is a file of its own is read as it is
    cuts = list(cuts_from_kaldi(kaldi(tmp_path / "call", wav_scp=scp, reco2file_and_channel=channels))["all"])
    assert [read_cut(cut, 8000)[0] for cut in cuts[:2]] == [0.25, -0.5]
    assert [(cut.channel, cut.recording.channel_ids) for cut in cuts] == [(0, [0, 1]), (1, [0, 1]), (0, [0])]
    with pytest.raises(AudiosslError, match=r"wav\.scp line 1: .*pair\.wav has 2 channels, so there is no channel 3"):
        cuts_from_kaldi(kaldi(tmp_path / "call", reco2file_and_channel=channels.replace("pair A", "pair 3")))


def test_a_mark_is_no_text_and_other_files_are_named(sound, tmp_path, caplog):
    path = sound("a.wav")
    folder = kaldi(tmp_path / "bom", wav_scp=f"\ufeffutt1 {path}\r\n", text="\ufeffutt1 HELLO\r\n", feats="x")
    with caplog.at_level(logging.WARNING):
        (cut,) = cuts_from_kaldi(folder)["all"]
    assert (cut.id, cut.supervisions[0].text) == ("utt1", "HELLO")
    assert [record.getMessage() for record in caplog.records] == [f"{folder}: not read: feats."]
