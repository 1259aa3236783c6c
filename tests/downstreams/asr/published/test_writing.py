"""A run of ours as a recogniser of transformers: the scores are the same there, and the run is the same again here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.asr import spelling_asr
from toys.recognisers import LARGE, logits_of, save_recogniser, text_of

from audiossl import load_run
from audiossl.downstreams.asr.published.writing import why_no_form, write_recogniser
from audiossl.experiments.published_runs import write_for_transformers


@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM"])
def test_what_was_read_is_written_back(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    model, processor = save_recogniser(tmp_path / "model", kind, **LARGE)
    run = load_run(f"hf:{tmp_path / 'model'}")
    assert write_for_transformers(str(run.folder), tmp_path / "written") is None
    again = getattr(transformers, f"{kind}ForCTC").from_pretrained(tmp_path / "written").eval()
    reader = transformers.Wav2Vec2Processor.from_pretrained(tmp_path / "written")
    wav = 0.1 * torch.randn(16000, generator=torch.Generator().manual_seed(0))
    (theirs,), (ours,) = logits_of(model, processor, [wav]), logits_of(again, reader, [wav])
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert text_of(reader, ours) == text_of(processor, theirs)
    assert load_run(f"hf:{tmp_path / 'written'}").config.task == run.config.task


def test_what_has_no_form_there_says_why(tmp_path: Path) -> None:
    task = spelling_asr()
    assert why_no_form(task)
    assert write_recogniser(task, tmp_path / "folder") == why_no_form(task)
    assert not (tmp_path / "folder").exists()
    assert write_for_transformers("tera_mini", tmp_path / "folder") == ""
