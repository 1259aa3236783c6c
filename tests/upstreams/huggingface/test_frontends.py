"""What stands between a waveform and the blocks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.huggingface import CASES, save, transformers

from audiossl.core.errors import AudioError, ConfigError
from audiossl.data.frame_labels import first_centre_s
from audiossl.upstreams.huggingface.convert import load_folder as load


def test_models_of_fixed_size_refuse_longer_recordings(tmp_path: Path) -> None:
    for name, longest in (("whisper", 32000), ("audio-spectrogram-transformer", 400 + 255 * 160 + 159)):
        save(CASES[name], tmp_path / name)
        upstream = load(tmp_path / name)
        with torch.no_grad():
            assert upstream(torch.zeros(1, longest)).layers[0].shape[1] == upstream.num_frames(longest)
        padded = torch.zeros(2, longest + 4000)  # padding is no recording
        upstream(padded, torch.tensor([longest, 5000]))
        with pytest.raises(AudioError, match=r"Item 1 lasts .* reads at most .* cut it into parts"):
            upstream(padded, torch.tensor([5000, longest + 1]))


def test_model_and_preprocessor_must_belong_together(tmp_path: Path) -> None:
    case = CASES["whisper"]
    save(case, tmp_path)
    transformers.WhisperFeatureExtractor(chunk_length=30).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="reads 200 mel frames and its preprocessor gives 3000"):
        load(tmp_path)


def test_a_batch_is_prepared_as_its_items_are(tmp_path: Path) -> None:
    save(CASES["whisper"], tmp_path)
    front = load(tmp_path).front
    assert front.prepare_batch is not None
    for sizes in ((9000, 4000), (front.max_samples, 31900)):
        wavs = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in sizes]
        together = front.prepare_batch(torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True), torch.tensor(sizes))
        for wav, made in zip(wavs, together, strict=True):
            torch.testing.assert_close(made, front.prepare(wav), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["whisper", "parakeet", "audio-spectrogram-transformer", "sew"])
def test_frames_are_where_their_facts_say(name: str, tmp_path: Path) -> None:
    """A click moves the frames around its own time most: those before it and after it alike."""
    save(CASES[name], tmp_path)
    upstream = load(tmp_path).eval()
    step_s, place = upstream.stride / upstream.sample_rate_hz, 8
    at = round((first_centre_s(upstream) + place * step_s) * upstream.sample_rate_hz)
    wav = 0.01 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    clicked = wav.clone()
    clicked[0, at - 2 : at + 2] += 0.5
    with torch.no_grad():
        before, after = (upstream(each, up_to_layer=0).layers[0][0] for each in (wav, clicked))
    moved = (after - before).norm(dim=-1)[: 2 * place + 1]
    centre = float((moved * torch.arange(len(moved))).sum() / moved.sum())
    assert centre == pytest.approx(place, abs=0.75)
