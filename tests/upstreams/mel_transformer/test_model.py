"""The log mel Transformer: frames, layouts, left-out frames, statistics, rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.registry import UPSTREAMS
from audiossl.encoders.testing import noise, pad, relative_distance
from audiossl.encoders.weights import save_upstream
from audiossl.upstreams import mel_transformer

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}


def tiny(**options: Any) -> Any:
    return load_upstream("mel_transformer", weights="random", **{**TINY, **options})


@pytest.mark.parametrize("options", [{"sample_rate_hz": 4000}, {"sample_rate_hz": 8000, "width": 24}])
def test_other_rates_pass_the_contract(options: dict[str, Any]) -> None:
    encoder = tiny(**options)
    assert encoder.frame_rate_hz == 50
    assert check_upstream(encoder).padding_error < 1e-5


def test_a_masked_batch_is_a_packed_one() -> None:
    encoder = tiny()
    wavs, lengths = pad(noise(encoder, [0.31, 1.0, 0.7]))
    with torch.no_grad():
        packed = encoder(wavs, lengths)
        even = encoder.encode_even(wavs[1:2], 2)
        encoder.layout = "padded"
        masked = encoder(wavs, lengths)
    for layer in range(3):
        for item in range(3):
            assert relative_distance(masked.item(item)[layer], packed.item(item)[layer]) < 1e-6
        assert relative_distance(even[layer], packed.layers[layer][1:2]) < 1e-6


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_the_parts_are_the_whole_and_left_out_frames_are_not_computed(layout: str) -> None:
    encoder = tiny()
    encoder.layout = layout
    wavs, lengths = pad(noise(encoder, [0.31, 0.6]))
    frames = encoder.num_frames(lengths)
    with torch.no_grad():
        whole = encoder(wavs, lengths).layers
        x = encoder.embed(encoder.local_features(wavs, lengths))
        parts = encoder.contextualize(x, frames, 2)
        kept = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(0)) < 0.5
        outputs: list[torch.Tensor] = []
        some = encoder.contextualize(x, frames, 2, kept=kept, ffn_outputs=outputs)
    inside = torch.arange(x.shape[1]) < frames[:, None]
    for made, expected in zip(parts, whole, strict=True):
        assert relative_distance(made[inside], expected[inside]) < 1e-6
    real = kept & inside
    assert len(outputs) == 2
    assert all(not bool(state[~real].any()) for state in [*some, *outputs])
    assert relative_distance(some[0][real], whole[0][real]) < 1e-6  # positions were added before
    assert relative_distance(some[2][real], whole[2][real]) > 1e-3
    # Twice the same frames: what is left out cannot be attended to, and distances stay what they were.
    other = torch.where(real[..., None], x, 7.0)
    encoder.position.weight.data.zero_()
    with torch.no_grad():
        one, two = (encoder.contextualize(each, frames, 2, kept=kept)[2] for each in (x, other))
    assert torch.allclose(one, two, atol=1e-6)


def test_frames_are_exact_and_centred() -> None:
    encoder = tiny()
    assert [encoder.num_frames(n) for n in (200, 201, 319, 320, 16000)] == [0, 1, 1, 2, 51]
    click = torch.zeros(1, 16000)
    click[0, 320 * 20] = 1.0
    energy = encoder.local_features(click, torch.tensor([16000]))[0].sum(-1)
    assert int(energy.argmax()) == 20


def test_statistics_are_kept_with_the_weights(tmp_path: Path) -> None:
    encoder = tiny()
    assert encoder.needs_statistics
    encoder.set_statistics(torch.full((400,), -8.0), torch.full((400,), 2.0))
    assert not encoder.needs_statistics
    save_upstream(encoder, tmp_path / "encoder.safetensors")
    again: Any = load_upstream(str(tmp_path / "encoder.safetensors"))
    assert not again.needs_statistics
    wavs, lengths = pad(noise(again, [0.3]))
    raw = again.local_features(wavs, lengths, normalized=False)
    assert torch.equal(again.local_features(wavs, lengths), (raw + 8) / 2)


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(ConfigError, match="num_mels=80 are too many for 2000 Hz"):
        tiny(sample_rate_hz=2000)
    with pytest.raises(ConfigError, match="position_kernel=4 must be odd"):
        tiny(position_kernel=4)
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        tiny(num_heads=3)


def test_the_shipped_encoder_is_small_and_says_where_it_comes_from() -> None:
    """At most 24 MB, of a supervised teacher, and a batch of it equals its items."""
    card = UPSTREAMS.card("distil_mini")
    assert (Path(mel_transformer.__file__).parent / card.weights).stat().st_size < 24e6
    assert "Whisper" in card.training["teacher"]
    encoder = load_upstream("distil_mini").eval()
    wavs, lengths = pad(noise(encoder, [0.4, 1.1]))
    with torch.no_grad():
        both, alone = encoder(wavs, lengths), encoder(wavs[:1, : lengths[0]])
    assert relative_distance(both.item(0)[-1], alone.item(0)[-1]) < 1e-6
