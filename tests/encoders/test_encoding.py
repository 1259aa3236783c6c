"""The loop that runs an encoder over rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet
from toys.core import ToyConfig, ToyUpstream
from toys.short_sighted import short_sighted

from audiossl import load_upstream
from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.types import Batch
from audiossl.data.config import LoaderConfig
from audiossl.data.inputs import cuts_of
from audiossl.encoders.encoding import encode_batch, encode_rows, num_batches

SECONDS = (0.4, 1.1, 0.7, 0.2, 0.9)


@pytest.fixture
def cuts(tmp_path: Path) -> CutSet:
    """Noise of several lengths, not in their order."""
    for number, seconds in enumerate(SECONDS):
        sound = 0.1 * np.random.default_rng(number).standard_normal(round(16000 * seconds))
        soundfile.write(tmp_path / f"{number}.wav", sound, 16000, subtype="FLOAT")
    return cuts_of([str(tmp_path)])


def test_every_row_once_the_longest_first_as_it_is_alone(cuts: CutSet) -> None:
    upstream = load_upstream("tera_mini")
    seen: list[str] = []
    for batch, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=2), up_to_layer=1):
        assert len(features.layers) == 2
        for index, cut in enumerate(batch.cuts):
            seen.append(cut.id)
            sound, _ = soundfile.read(cut.recording.sources[0].source, dtype="float32")
            alone = upstream(torch.from_numpy(sound)[None]).layers[1][0]
            torch.testing.assert_close(features.item(index)[1], alone, rtol=1e-4, atol=1e-5)
    assert seen == ["1", "4", "2", "0", "3"]


def test_no_gradient_and_no_other_mode_stays(cuts: CutSet) -> None:
    upstream = load_upstream("tera_mini")
    for _, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=5)):
        assert features.layers[-1].is_inference()
        assert torch.is_grad_enabled()  # between batches, the caller is not in inference mode
        torch.nn.Linear(features.widths[-1], 1)(features.layers[-1].clone()).sum().backward()


def test_autocast_where_it_is_asked_for(cuts: CutSet) -> None:
    upstream = load_upstream("wav2vec2", weights="random", width=16, num_layers=1, num_heads=2, ffn_width=16)
    config = LoaderConfig(batch_size=5)
    ((_, plain),) = encode_rows(upstream, cuts, config)
    ((batch, low),) = encode_rows(upstream, cuts, config, precision="bf16")
    assert plain.layers[-1].dtype == torch.float32
    assert not torch.equal(low.layers[-1].float(), plain.layers[-1])
    again = encode_batch(upstream, batch, precision="bf16")
    assert torch.equal(again.layers[-1], low.layers[-1])


def test_the_encoder_and_its_batches_go_to_the_device() -> None:
    upstream = load_upstream("tera_mini")
    batch = Batch(torch.zeros(2, 16000), torch.tensor([16000, 8000]))
    with pytest.raises((RuntimeError, NotImplementedError), match="(?i)meta"):
        encode_batch(upstream, batch, device="meta")  # where lengths cannot be looked at
    assert {parameter.device.type for parameter in upstream.parameters()} == {"meta"}


def test_a_layer_that_is_not_there(cuts: CutSet) -> None:
    with pytest.raises(ConfigError, match="layers 0 to 3"):
        next(encode_rows(load_upstream("tera_mini"), cuts, LoaderConfig(batch_size=2), up_to_layer=4))


def test_how_many_batches_there_will_be(cuts: CutSet) -> None:
    config = LoaderConfig(batch_size=2)
    assert num_batches(cuts, config) == len(list(encode_rows(load_upstream("log_mel"), cuts, config))) == 3
    assert num_batches(cuts, LoaderConfig(batch_size=2, max_duration_s=1.2)) is None


def test_rows_beyond_what_the_encoder_reads_come_first_chunk_by_chunk(
    cuts: CutSet, caplog: pytest.LogCaptureFixture
) -> None:
    upstream, seen = short_sighted(), {}
    for batch, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=2), up_to_layer=1):
        seen |= {cut.id: features.item(index) for index, cut in enumerate(batch.cuts)}
    assert list(seen) == ["1", "4", "2", "0", "3"]
    assert caplog.messages == [f"{name} is long and encoded in chunks of 0.5 s." for name in "142"]
    upstream.max_samples = None
    for batch, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=1), up_to_layer=1):
        for found, expected in zip(seen[batch.cuts[0].id], features.item(0), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    upstream.max_samples = 1600  # all of them
    assert len(list(encode_rows(upstream, cuts, LoaderConfig()))) == 5


class Squares(ToyUpstream):
    """Overflows for samples that are far too large, and leaves NaN in the frames of padding."""

    def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        power = wavs.square().amax(dim=1)[:, None, None]
        layers = [layer + power for layer in super().encode(wavs, lengths, last)]
        for layer in layers:
            for states, frames in zip(layer, self.num_frames(lengths).tolist(), strict=True):
                states[frames:] = torch.nan
        return layers


def test_a_recording_of_which_the_encoder_makes_infinity_is_named(row) -> None:
    upstream = Squares(ToyConfig()).eval()
    wavs = torch.full((2, 8000), 0.1)
    rows = (row("fine", 8000, path="fine.wav"), row("huge", 4000, path="huge.wav"))
    batch = Batch(wavs, torch.tensor([8000, 4000]), rows)
    assert encode_batch(upstream, batch, device="cpu").lengths.tolist()[0] > 0  # what is padding is nobody's
    wavs[1, 7] = 1e20
    message = r"row huge \(huge.wav\), whose samples reach 1e\+20 \(sound lies in \[-1, 1\]\); scale the recording"
    with pytest.raises(AudioError, match=message):
        encode_batch(upstream, batch, device="cpu")
