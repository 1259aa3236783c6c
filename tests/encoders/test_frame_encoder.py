"""Front end, embedding and Transformer, one by one and with frames left out."""

from __future__ import annotations

import pytest
import torch

from audiossl import Upstream, check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.testing import noise, pad, relative_distance

SIZES = {"width": 32, "num_layers": 2, "num_heads": 2, "ffn_width": 48}
STEM = {"conv_widths": (16,) * 7, "position_groups": 4, "position_kernel": 8}


def encoder(name: str, **options: object) -> Upstream:
    sizes = {**SIZES, **({} if name == "tera" else STEM), **options}
    return load_upstream(name, weights="random", **sizes).eval()


@pytest.mark.parametrize(
    ("name", "options"),
    [("tera", {"normalize": "utterance"}), ("wav2vec2", {}), ("wavlm", {"conv_norm": "layer", "pre_norm": True})],
)
def test_the_parts_make_the_whole(name: str, options: dict[str, object]) -> None:
    check_upstream(encoder(name, **options))


def test_an_encoder_whose_parts_do_not_make_the_whole_is_found() -> None:
    broken = encoder("wav2vec2")
    broken.contextualize = lambda *args, **rest: type(broken).contextualize(broken, args[0] + 1.0, *args[1:], **rest)  # type: ignore[attr-defined, assignment]
    with pytest.raises(AssertionError, match="contextualize"):
        check_upstream(broken)


@pytest.mark.parametrize("layout", ["packed", "padded"])
@torch.no_grad()
def test_frames_left_out_do_not_count(layout: str) -> None:
    """What is kept is as if there were nothing else, but with the position codes that it has among all."""
    upstream = encoder("wav2vec2")
    upstream.layout = layout  # type: ignore[assignment]
    wavs, lengths = pad(noise(upstream, [0.5, 0.3]))
    frames = upstream.num_frames(lengths)
    x = upstream.embed(upstream.local_features(wavs, lengths))  # type: ignore[operator]
    kept = torch.arange(x.shape[1])[None] % torch.tensor([2, 3])[:, None] == 0
    outputs: list[torch.Tensor] = []
    states = upstream.contextualize(x, frames, 2, kept=kept, ffn_outputs=outputs)  # type: ignore[operator]
    assert [output.shape for output in outputs] == [x.shape] * 2
    for item, count in enumerate(frames.tolist()):
        chosen = kept[item, :count]
        with_positions = x[item : item + 1, :count] + upstream.position(x[item : item + 1, :count])  # type: ignore[operator]
        state = upstream.norm(with_positions[:, chosen])  # type: ignore[operator]
        for number in range(3):
            got = states[number][item]
            assert relative_distance(got[:count][chosen], state[0]) < 1e-5
            assert not got[count:].any()
            assert not got[:count][~chosen].any()
            if number < 2:
                attended = upstream.blocks[number]._attended(state, _whole(state), None)  # type: ignore[operator]
                change = upstream.blocks[number]._transform(attended)  # type: ignore[operator]
                assert relative_distance(outputs[number][item, :count][chosen], change[0]) < 1e-5
                state = upstream.blocks[number].ffn_norm(attended + change)  # type: ignore[operator]


def _whole(x: torch.Tensor) -> object:
    from audiossl.nn.transformer import Padded

    return Padded(x.shape[1])


def test_relative_positions_need_all_frames() -> None:
    upstream = encoder("wavlm")
    x = torch.zeros(1, 5, 32)
    with pytest.raises(ConfigError, match="cannot leave frames out"):
        upstream.contextualize(x, torch.tensor([5]), 1, kept=torch.ones(1, 5, dtype=torch.bool))  # type: ignore[operator]
