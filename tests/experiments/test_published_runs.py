"""Recognisers of other toolkits as runs: what transformers computes of them is what the run does."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from lhotse import CutSet, SupervisionSegment
from torch import Tensor
from toys.recognisers import LARGE, logits_of, save_for_fairseq, save_recogniser, text_of

from audiossl import cuts_of, load_run
from audiossl.core.errors import CheckpointError
from audiossl.core.types import Batch
from audiossl.downstreams.asr.task import Asr
from audiossl.experiments.published_runs import run_of_model
from audiossl.experiments.run import Run


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wavs(tmp_path: Path) -> list[Tensor]:
    """Two recordings of unlike lengths, which are at 0.wav and 1.wav too."""
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(samples, generator=generator) * 0.1 for samples in (16000, 9000)]
    for number, wav in enumerate(made):
        soundfile.write(tmp_path / f"{number}.wav", wav.numpy(), 16000, subtype="FLOAT")
    return made


def log_probs_of(run: Run, wavs: list[Tensor]) -> list[Tensor]:
    """(T, C) of each recording, all in one padded batch."""
    batch = Batch(torch.nn.utils.rnn.pad_sequence(wavs, True), torch.tensor([len(wav) for wav in wavs]))
    assert isinstance(run.task, Asr)
    with torch.no_grad():
        found, steps = run.task.head.log_probs(*run.task.sequence(batch))
    return [each[:count] for each, count in zip(found, steps.tolist(), strict=True)]


@pytest.mark.parametrize("kind", ["Wav2Vec2", "Hubert", "WavLM"])
@pytest.mark.parametrize("normalize", [True, False])
def test_scores_and_transcripts_are_those_of_transformers(
    kind: str, normalize: bool, tmp_path: Path, cache: Path, wavs: list[Tensor]
) -> None:
    model, processor = save_recogniser(tmp_path / "model", kind, normalize=normalize, **LARGE)
    run = load_run(f"hf:{tmp_path / 'model'}")
    alone = [logits_of(model, processor, [wav])[0] for wav in wavs]
    for theirs in (alone, logits_of(model, processor, wavs)):  # by itself, and in a padded batch
        for ours, logits in zip(log_probs_of(run, wavs), theirs, strict=True):
            torch.testing.assert_close(ours, logits.log_softmax(-1), atol=1e-4, rtol=1e-4)
    rows = sorted(run.predict([str(tmp_path / "0.wav"), str(tmp_path / "1.wav")]), key=lambda row: str(row["id"]))
    assert [row["predicted"] for row in rows] == [text_of(processor, logits) for logits in alone]
    assert run.folder.is_relative_to(cache)


def test_a_stem_with_group_norm_is_read_without_its_padding(tmp_path: Path, cache: Path, wavs: list[Tensor]) -> None:
    """transformers' own batches of such models depend on their padding, which ours never do."""
    model, processor = save_recogniser(tmp_path / "model")
    run = load_run(f"hf:{tmp_path / 'model'}")
    for ours, wav in zip(log_probs_of(run, wavs), wavs, strict=True):
        theirs = logits_of(model, processor, [wav])[0].log_softmax(-1)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_file_of_fairseq_is_the_same_model(tmp_path: Path, cache: Path, wavs: list[Tensor]) -> None:
    model, processor = save_recogniser(tmp_path / "model", **LARGE)
    save_for_fairseq(tmp_path / "large.pt", model)
    run = load_run(f"fairseq:{tmp_path / 'large.pt'}")
    theirs = logits_of(model, processor, [wavs[0]])[0]
    torch.testing.assert_close(log_probs_of(run, wavs)[0], theirs.log_softmax(-1), atol=1e-4, rtol=1e-4)
    assert isinstance(run.task, Asr)
    assert run.task.units.config.symbols[:4] == ["<pad>", "</s>", "<unk>", " "]
    (tmp_path / "dict.ltr.txt").unlink()
    with pytest.raises(CheckpointError, match=r"and there is no .*dict\.ltr\.txt; copy it there"):
        load_run(f"fairseq:{tmp_path / 'large.pt'}")


def test_a_run_is_written_once_and_belongs_to_the_files_as_they_are(tmp_path: Path, cache: Path) -> None:
    save_recogniser(tmp_path / "model")
    reference, path = f"hf:{tmp_path / 'model'}", tmp_path / "model"
    first = run_of_model(reference, path, "hf")
    assert first is not None
    written = (first / "checkpoints" / "best.safetensors").stat().st_mtime_ns
    assert run_of_model(reference, path, "hf") == first
    assert (first / "checkpoints" / "best.safetensors").stat().st_mtime_ns == written
    (path / "vocab.json").write_text((path / "vocab.json").read_text(encoding="utf-8").replace('"E"', '"Z"'))
    second = run_of_model(reference, path, "hf")
    assert second not in (None, first)
    assert len(list((cache / "runs").iterdir())) == 2


def test_the_run_evaluates_and_refuses_another_encoder_in_its_place(tmp_path: Path, cache: Path) -> None:
    save_recogniser(tmp_path / "model")
    run = load_run(f"hf:{tmp_path / 'model'}")
    with pytest.raises(CheckpointError, match="is an encoder, which predicts nothing"):
        load_run(f"hf:{_without_head(tmp_path)}")
    save_recogniser(tmp_path / "other", num_hidden_layers=1)
    (tmp_path / "model" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError):
        load_run(run.folder)


def _without_head(folder: Path) -> Path:
    import transformers

    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder / "model").wav2vec2
    model.save_pretrained(folder / "encoder")
    return folder / "encoder"


def test_a_transcript_is_scored_in_the_case_of_the_vocabulary(tmp_path: Path, cache: Path, wavs: list[Tensor]) -> None:
    save_recogniser(tmp_path / "model")
    run = load_run(f"hf:{tmp_path / 'model'}")
    (cut, _) = cuts_of([str(tmp_path / "0.wav"), str(tmp_path / "1.wav")])
    cut.supervisions = [SupervisionSegment("0", cut.recording_id, 0.0, cut.duration, text="Ten, hats?")]
    (row,) = run.predict(CutSet.from_cuts([cut]))
    assert row["target"] == "TEN HATS"
