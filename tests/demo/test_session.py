"""What a run answers: a prediction, errors in the sender's own names, and the nearest items by a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys.calls import toy as toy_calls
from toys.core import LABELS, sound_of
from toys.voices import toy_task, voice

from audiossl import load_interface
from audiossl.core.errors import AudiosslError
from audiossl.data.text import TextConfig
from audiossl.demo.session import Demo
from audiossl.demo.uploads import Upload
from audiossl.downstreams.asr.task import Asr, AsrConfig
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.run import Run


@pytest.fixture
def upload(sound: Callable[..., Path]) -> Callable[..., Upload]:
    def write(samples: Any, name: str, number: int = 1) -> Upload:
        path = sound(f"recording{number}.wav", samples)
        return Upload(path.rename(path.with_suffix("")), name)

    return write


def test_a_label_with_scores_windows_and_neighbours(demo: Demo, upload: Callable[..., Upload]) -> None:
    answer = demo.answer([upload(sound_of("low", 7, 2.0), "<b>.wav")])
    assert answer["name"] == "<b>.wav"
    assert answer["columns"][0] == ("label", "low")
    assert sorted(label for label, _ in answer["scores"]) == sorted(LABELS)
    assert (len(answer["timeline"]["spans"]), answer["words"]) == (7, [])
    near = demo.nearest(answer["token"])
    assert (near["settled"], near["sentence"], near["rows"][0]["says"]["label"]) == (True, "", "low")


def test_the_last_recordings_are_remembered(demo: Demo, upload: Callable[..., Upload]) -> None:
    sent = upload(sound_of("low", 7), "a.wav")
    tokens = [demo.answer([sent])["token"] for _ in range(17)]
    assert demo.nearest(tokens[-1])["rows"]
    with pytest.raises(AudiosslError, match="not remembered"):
        demo.nearest(tokens[0])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "talk.wav is empty"),
        (b"Dear diary, this is text.\n" * 50, "talk.wav cannot be read as sound"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "talk.wav"),
    ],
)
def test_what_is_no_sound_is_named_as_its_sender_does(
    demo: Demo, tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "recording1"
    path.write_bytes(content)
    with pytest.raises(AudiosslError, match=sentence) as wrong:
        demo.answer([Upload(path, "talk.wav")])
    assert str(tmp_path) not in str(wrong.value)
    assert "recording1" not in str(wrong.value)


def test_too_short_is_a_sentence(demo: Demo, upload: Callable[..., Upload]) -> None:
    with pytest.raises(AudiosslError, match=r"Row blip\.wav .* too short for this encoder"):
        demo.answer([upload(np.zeros(10, np.float32), "blip.wav")])


def test_the_page_escapes_what_a_run_is_called(demo: Demo, demo_run: Run, tmp_path: Path) -> None:
    page = Demo(replace(demo_run, folder=tmp_path / "<script>x"), 0, 5).page()
    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page
    assert 'data-max-mb="5"' in page
    assert "Nearest training items" not in page
    assert "Nearest training items" in demo.page()


def test_page_needs_nothing_from_elsewhere(demo: Demo) -> None:
    for text in (demo.page(), demo.style(), demo.script()):
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "innerHTML" not in text
        assert " style=" not in text
    assert demo.style().startswith(":root")


@pytest.fixture
def voices(demo_run: Run) -> Demo:
    return Demo(replace(demo_run, task=toy_task(head="pooled", pooling="statistics").eval()), 0)


def test_two_voices_are_compared(voices: Demo, upload: Callable[..., Upload]) -> None:
    assert voices.compares
    assert "Second recording" in voices.page()
    first = upload(voice(0, 1, 0.5), "ann.wav")
    alone = voices.answer([first])
    assert alone["columns"][0][0] == "next"
    both = voices.answer([first, upload(voice(1, 2, 0.5), "bob.wav", 2)])
    assert dict(both["columns"])["decision"] == "none: the scores of this run were never calibrated"
    voices.run.task.get_buffer("scale_and_offset").copy_(voices.run.task.get_buffer("scale_and_offset") + 1)
    same = voices.answer([first, upload(voice(0, 1, 0.5), "ann2.wav", 2)])
    assert same["columns"][0] == ("decision", "one speaker")
    with pytest.raises(AudiosslError, match=r"silence\.wav is silent"):
        voices.answer([first, upload(np.zeros(8000, np.float32), "silence.wav", 2)])


def test_a_transcript_has_words_with_times(demo_run: Run, upload: Callable[..., Upload]) -> None:
    upstream = demo_run.task.upstream
    config = AsrConfig(text=TextConfig(kind="characters", symbols=["a", "b"]))
    task = Asr(upstream, load_interface("last", upstream.widths), config).eval()
    answer = Demo(replace(demo_run, task=task), 0).answer([upload(8000, "a.wav")])
    assert (answer["scores"], answer["timeline"], answer["token"]) == ([], None, "")
    assert answer["columns"][0][0] == "text"
    assert all(len(word) == 4 for word in answer["words"])


def test_a_recording_in_windows_has_their_scores(demo_run: Run, upload: Callable[..., Upload]) -> None:
    task = toy_calls(window_s=0.5, hop_s=0.25).eval()
    answer = Demo(replace(demo_run, task=task), 0).answer([upload(16000, "night.wav")])
    assert answer["timeline"]["spans"] == [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0)]
    assert {label for label, _ in answer["timeline"]["lines"]} == {"hi", "lo"}
    assert (answer["columns"][0][0], len(answer["scores"])) == ("labels", 2)


def test_of_a_cross_validation_all_folds_predict(demo_run: Run, upload: Callable[..., Upload]) -> None:
    single = (demo_run.folder, demo_run.config, demo_run.task, demo_run.device, demo_run.fingerprint)
    folded = Demo(FoldedRun(*single, folds={"a": demo_run, "b": demo_run}), 2)
    assert folded.neighbours.run is demo_run
    folded.neighbours.compute()
    answer = folded.answer([upload(sound_of("high", 7, 1.5), "a.wav")])
    assert (answer["columns"][0][1], len(answer["timeline"]["spans"])) == ("high", 7)
    assert len(folded.nearest(answer["token"])["rows"]) == 2


def test_after_its_end_nothing_runs_the_encoder(demo_run: Run) -> None:
    ended = Demo(demo_run, 3)
    ended.neighbours.start()
    ended.end()
    assert ended._using.locked()
