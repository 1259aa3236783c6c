"""The TERA family: parity with s3prl, positions, statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.varlen import use_stand_in

from audiossl import UPSTREAMS, load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.testing import noise, pad, relative_distance
from audiossl.encoders.weights import save_upstream
from audiossl.nn.transformer import Padded
from audiossl.upstreams.tera.model import sinusoids

GOLDEN = Path(__file__).parents[2] / "golden"  # a small random checkpoint and its hidden states by s3prl
TINY = {"width": 16, "num_layers": 3, "num_heads": 2, "ffn_width": 32}


def test_golden_hidden_states_of_s3prl() -> None:
    golden = np.load(GOLDEN / "s3prl.npz")
    wav, expected = torch.from_numpy(golden["wav"]), torch.from_numpy(golden["tera"])
    tera = load_upstream(f"s3prl:{GOLDEN / 's3prl_tera.pt'}")
    with torch.no_grad():
        made = torch.cat(tera(wav[None]).layers)
        together = tera(*pad([wav, torch.cat([wav, wav.flip(0)])]))
    assert made.shape == expected.shape
    assert float((made - expected).abs().max()) < 5e-5
    assert relative_distance(made, expected) < 1e-5
    assert relative_distance(torch.stack(together.item(0)), expected) < 1e-5


def test_sinusoids_follow_the_formula() -> None:
    table = sinusoids(7, 6)
    for position in range(7):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert float(table[position, 2 * pair]) == pytest.approx(np.sin(angle), abs=1e-6)
            assert float(table[position, 2 * pair + 1]) == pytest.approx(np.cos(angle), abs=1e-6)


def test_attention_equals_a_second_implementation() -> None:
    tera = load_upstream("tera", weights="random", **TINY)
    block = tera.blocks[0]
    theirs = torch.nn.MultiheadAttention(16, 2, batch_first=True).eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": block.qkv.weight,
            "in_proj_bias": block.qkv.bias,
            "out_proj.weight": block.out.weight,
            "out_proj.bias": block.out.bias,
        }
    )
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    inside = torch.arange(9) < torch.tensor([9, 5])[:, None]
    with torch.no_grad():
        h = block.attention_norm(x + theirs(x, x, x, key_padding_mask=~inside, need_weights=False)[0])
        expected = block.ffn_norm(h + block.down(torch.nn.functional.gelu(block.up(h))))
        made = block(x, Padded(9, inside))
    torch.testing.assert_close(made[inside], expected[inside], rtol=1e-5, atol=1e-5)


def test_where_one_call_attends_within_all_items_blocks_get_real_frames_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tera, calls = load_upstream("tera", weights="random", **TINY), use_stand_in(monkeypatch)
    x, frames, found = torch.randn(2, 9, 16), torch.tensor([9, 4]), []
    for packed in (False, True):
        monkeypatch.setattr("audiossl.upstreams.tera.model.suits", lambda x, num_heads, packed=packed: packed)
        outputs = list[torch.Tensor]()
        states = tera.contextualize(x, frames, 3, ffn_outputs=outputs)  # type: ignore[operator]
        found.append(torch.stack([*states, *outputs])[:, torch.arange(9) < frames[:, None]])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert [call.starts for call in calls] == [[0, 9, 13]] * 3
    tera.layout = "padded"  # type: ignore[assignment]
    tera.contextualize(x, frames, 3)  # type: ignore[operator]
    assert len(calls) == 3


def test_shared_layers_use_one_block() -> None:
    albert = load_upstream("audio_albert", weights="random", **TINY)
    assert len(albert.blocks) == 1
    assert albert.num_layers == 4


def test_published_sizes_are_those_of_the_cards() -> None:
    for name in ("tera", "mockingjay", "audio_albert"):
        upstream = load_upstream(name, weights="random")
        assert sum(p.numel() for p in upstream.parameters()) == UPSTREAMS.card(name).num_parameters


def test_an_architecture_is_never_silently_random() -> None:
    with pytest.raises(CheckpointError, match="architecture without weights"):
        load_upstream("tera")


def test_global_normalisation_needs_its_statistics(tmp_path: Path) -> None:
    tera = load_upstream("tera", weights="random", normalize="global", **TINY)
    wav = noise(tera, [0.3])[0][None]
    with pytest.raises(CheckpointError, match="has none yet"):
        tera(wav)
    tera.set_statistics(torch.full((80,), -8.0), torch.full((80,), 4.0))
    save_upstream(tera, tmp_path / "encoder.safetensors")
    again = load_upstream(str(tmp_path / "encoder.safetensors"))
    assert all(map(torch.equal, tera(wav).layers, again(wav).layers))
    random = load_upstream(str(tmp_path / "encoder.safetensors"), weights="random", seed=7)
    assert torch.equal(random.feature_mean, tera.feature_mean)
    assert not torch.equal(random.project.weight, tera.project.weight)


def test_input_longer_than_the_position_table() -> None:
    tera = load_upstream("tera", weights="random", **TINY)
    features = tera(0.1 * torch.randn(1, 16000 * 12, generator=torch.Generator().manual_seed(0)))
    assert features.layers[0].shape[1] == 1201
    assert bool(torch.isfinite(features.layers[-1]).all())


def test_random_weights_follow_the_seed() -> None:
    one, same, other = (load_upstream("tera", weights="random", seed=s, **TINY) for s in (1, 1, 2))
    assert torch.equal(one.project.weight, same.project.weight)
    assert not torch.equal(one.project.weight, other.project.weight)
