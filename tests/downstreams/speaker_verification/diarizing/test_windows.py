"""Windows of speech and their embeddings, from one run of the encoder and from many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lhotse import CutSet
from toys.voices import toy_task

from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.types import Features
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import read_cut
from audiossl.downstreams.speaker_verification.diarizing.speech import Stretch
from audiossl.downstreams.speaker_verification.diarizing.windows import Window, embed_windows, windows_in


def test_windows_cover_the_speech() -> None:
    found = windows_in([Stretch(0.0, 0.2), Stretch(3.0, 4.0), Stretch(5.0, 8.0)], 1.5, 0.75, 8.0)
    assert found[0] == Window(0.0, 0.75, 0)  # a short one has what lies around it
    assert found[1] == Window(3.0, 4.0, 1)
    assert [window.start_s for window in found[2:]] == [5.0, 5.75, 6.5]
    assert found[-1] == Window(6.5, 8.0, 2)
    assert windows_in([Stretch(0.0, 0.3)], 1.5, 0.75, 0.4) == [Window(0.0, 0.4, 0)]


def test_embeddings_are_those_of_the_windows(meeting: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    (cut,) = cuts_of([str(meeting.path)])  # type: ignore[attr-defined]
    task = toy_task(head="pooled").eval()
    windows = [Window(0.0, 1.5, 0), Window(0.6, 2.1, 0), Window(33.0, 33.4, 1)]
    alone = embed_windows(task, cut, windows, whole=False)
    sound = torch.from_numpy(read_cut(cut, 16000))
    for vector, window in zip(alone, windows, strict=True):
        part = sound[round(16000 * window.start_s) : round(16000 * window.end_s)]
        features = task.upstream(part[None], torch.tensor([len(part)]))
        expected = task.outputs(task.interface(features), features.lengths)["embedding"]
        np.testing.assert_allclose(vector, expected[0].detach().numpy(), atol=1e-5)
    # Frames of a run over the recording differ from those of a window at its ends alone.
    whole = embed_windows(task, cut, windows)
    cosines = (whole * alone).sum(1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(alone, axis=1)
    assert cosines.min() > 0.98


def test_the_head_reads_what_is_audible(meeting: object) -> None:
    (cut,) = cuts_of([str(meeting.path)])  # type: ignore[attr-defined]
    task = toy_task(head="pooled").eval()
    windows = [Window(1.2, 2.7, 0), Window(20.0, 21.5, 1)]
    every, silent = (embed_windows(task, cut, windows, audible=given) for given in (None, [Stretch(30.0, 31.0)]))
    np.testing.assert_array_equal(every, silent)  # too little is left of either
    parts = [Stretch(0.5, 1.7), Stretch(2.2, 2.5), Stretch(20.0, 21.5)]
    heard = {whole: embed_windows(task, cut, windows, audible=parts, whole=whole) for whole in (True, False)}
    assert np.abs(heard[True][0] - every[0]).max() > 1e-4
    np.testing.assert_allclose(heard[True][1], every[1], atol=1e-6)
    np.testing.assert_allclose(heard[False], heard[True], atol=0.05)


def test_what_has_no_embedding_is_said(meeting: object, monkeypatch: pytest.MonkeyPatch) -> None:
    (cut,) = cuts_of([str(meeting.path)])  # type: ignore[attr-defined]
    task = toy_task(head="xvector").eval()
    (short,) = CutSet.from_cuts([cut.truncate(duration=0.03)])
    with pytest.raises(AudioError, match=r"meeting\.wav has \d frames of this encoder, and the head needs"):
        embed_windows(task, short, [Window(0.0, 0.03, 0)])
    with torch.no_grad():
        task.head.segment.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(AudioError, match=r"from 1\.0 s to 2\.0 s an embedding that is not a number"):
        embed_windows(task, cut, [Window(1.0, 2.0, 0)])

    def pooled(features: Features) -> torch.Tensor:
        return features.layers[-1].mean(1, keepdim=True)

    monkeypatch.setattr(task.interface, "forward", pooled)
    with pytest.raises(ConfigError, match="take --context window"):
        embed_windows(task, cut, [Window(1.0, 2.0, 0)])
