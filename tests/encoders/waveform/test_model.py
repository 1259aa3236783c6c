"""wav2vec 2.0, HuBERT, WavLM, data2vec, UniSpeech-SAT and DistilHuBERT: parity, padding, layouts, hidden states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys.varlen import use_stand_in

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.encoders.testing import check_upstream, noise, pad, perturb, relative_distance
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.names import fairseq_to_ours
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.nn.masking import valid_frames

GOLDEN = Path(__file__).parents[2] / "golden"  # small random checkpoints and their hidden states by s3prl
TOY: dict[str, Any] = {
    "conv_widths": (32,) * 7,
    "width": 48,
    "num_layers": 3,
    "num_heads": 4,
    "ffn_width": 64,
    "position_kernel": 16,
    "position_groups": 4,
}
LARGE: dict[str, Any] = {"conv_norm": "layer", "pre_norm": True, "normalize": "layer_norm"}
DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "feature_dropout")
STACKED: dict[str, Any] = {"position_kernel": 35, "position_depth": 5}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-base": ("wav2vec2", {}),
    "wav2vec2-large": ("wav2vec2", {**LARGE, "conv_bias": True}),
    "mms-adapters": ("wav2vec2", {**LARGE, "conv_bias": True, "adapter_width": 8}),
    "hubert-base": ("hubert", {}),
    "hubert-large": ("hubert", LARGE),
    "hubert-batch-norm": ("hubert", {"position_norm": "batch"}),
    "wavlm-base": ("wavlm", {}),
    "wavlm-large": ("wavlm", LARGE),
    "data2vec": ("data2vec", STACKED),
    "unispeech-sat-base": ("unispeech_sat", {}),
    "unispeech-sat-large": ("unispeech_sat", LARGE),
    "distilhubert": ("distilhubert", {}),
}


@pytest.fixture(params=CASES)
def encoder(request: pytest.FixtureRequest) -> WaveformEncoder:
    return toy(request.param)


def toy(case: str, **more: Any) -> WaveformEncoder:
    """A tiny encoder with nothing at its initial value, biases and norms included."""
    family, options = CASES[case]
    made = load_upstream(family, weights="random", **{**TOY, **options, **more})
    perturb(made)
    assert isinstance(made, WaveformEncoder)
    return made


def worst(made: Any, expected: Any) -> float:
    return max(relative_distance(a, b) for a, b in zip(made, expected, strict=True))


def test_contract_in_both_layouts(encoder: WaveformEncoder) -> None:
    encoder.layout = "padded"
    assert check_upstream(encoder).padding_error < 1e-5
    encoder.layout = "packed"
    assert check_upstream(encoder).padding_error < 1e-7  # an item is computed from itself


def test_a_silent_a_constant_and_a_loud_recording_are_finite(encoder: WaveformEncoder) -> None:
    for wav in (torch.zeros(1, 8000), torch.full((1, 8000), 0.5), 1e3 * noise(encoder, [0.5])[0][None]):
        assert all(bool(layer.isfinite().all()) for layer in encoder(wav).layers)


@pytest.mark.parametrize("name", ["wav2vec2_base", "hubert_large", "wavlm_base"])
def test_golden_hidden_states_of_s3prl(name: str) -> None:
    golden = np.load(GOLDEN / "s3prl_waveform.npz")
    wavs = [torch.from_numpy(golden[f"wav{number}"]) for number in range(3)]
    path = GOLDEN / f"s3prl_{name}.pt"
    with torch.no_grad():
        features = load_upstream(f"s3prl:{path}")(*pad(wavs))
        padded = load_upstream(f"s3prl:{path}", padding="legacy")(*pad(wavs))
    assert worst(features.item(2), torch.from_numpy(golden[f"{name}_alone"])) < 1e-5
    assert worst(padded.layers, torch.from_numpy(golden[f"{name}_padded"])) < 1e-5
    assert features.exact
    assert not padded.exact


def hf_states(model: Any, wavs: Tensor, mask: Tensor | None = None) -> list[Tensor]:
    """transformers' hidden states, the last one after the final norm in every version."""
    output = model(wavs, attention_mask=mask, output_hidden_states=True)
    return [*output.hidden_states[:-1], output.last_hidden_state]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_parity_with_transformers_through_a_folder(encoder: WaveformEncoder, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    write_folder(encoder, tmp_path)
    theirs, found = transformers.AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    theirs.eval()
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    ours = load_upstream(f"hf:{tmp_path}", normalize=encoder.config.normalize)
    assert ours.config == encoder.config or encoder.config.feature_dropout  # dropouts are not read from folders
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in encoder.state_dict().items())
    wavs = noise(ours, [0.6, 1.0, 0.03])
    padded, lengths = pad(wavs)
    mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
    with torch.no_grad():
        for wav in wavs:
            prepared = encoder.normalized(wav[None], torch.tensor([len(wav)]))
            assert worst(ours(wav[None]).layers, hf_states(theirs, prepared)) < 1e-5
        for padding, attention_mask in (("legacy_hf", mask), ("legacy_hf_unmasked", None)):
            as_theirs = load_upstream(f"hf:{tmp_path}", padding=padding, normalize=encoder.config.normalize)(
                padded, lengths
            )
            expected = hf_states(theirs, encoder.normalized(padded, lengths), attention_mask)
            for index, frames in enumerate(as_theirs.lengths.tolist()):
                assert worst(as_theirs.item(index), [state[index, :frames] for state in expected]) < 1e-5


@pytest.mark.parametrize("do_normalize", [True, False])
@pytest.mark.parametrize("case", ["wav2vec2-base", "wav2vec2-large", "hubert-large", "wavlm-base"])
def test_a_folder_does_what_its_preprocessor_and_model_do(case: str, do_normalize: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    write_folder(toy(case), tmp_path)
    said = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**said, "do_normalize": do_normalize}))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    theirs = transformers.AutoModel.from_pretrained(tmp_path).eval()
    ours = load_upstream(f"hf:{tmp_path}")
    for level in (1.0, 1e-3):  # so quiet that every way to normalise differs from the others
        wav = level * noise(ours, [0.3])[0]
        prepared = torch.from_numpy(extractor(wav.numpy(), sampling_rate=16000)["input_values"][0])[None]
        with torch.no_grad():
            assert worst(ours(wav[None]).layers, hf_states(theirs, prepared)) < 1e-5


def test_last_hidden_state_before_the_final_norm_by_choice() -> None:
    after, before = toy("hubert-large"), toy("hubert-large", final_norm=False)
    before.load_state_dict(after.state_dict())
    wav = noise(after, [0.4])[0][None]
    with torch.no_grad():
        a, b = after(wav).layers, before(wav).layers
        assert torch.equal(after.norm(b[-1]), a[-1])
    assert all(map(torch.equal, a[:-1], b[:-1]))


def test_names_of_fairseq_there_and_back(encoder: WaveformEncoder) -> None:
    original = to_original(encoder.state_dict(), encoder.config.conv_norm)
    back = to_original(fairseq_to_ours(original), encoder.config.conv_norm)
    assert original.keys() == back.keys()
    assert all(torch.equal(value, back[name]) for name, value in original.items())
    ours = fairseq_to_ours(original)
    assert ours.keys() == encoder.state_dict().keys()


@pytest.mark.parametrize("case", ["wav2vec2-base", "wav2vec2-large", "wavlm-base"])
def test_bfloat16_weights_stay_close(case: str) -> None:
    single = toy(case)
    half = toy(case).to(torch.bfloat16)
    batch = pad(noise(single, [0.6, 0.3]))
    with torch.inference_mode():
        expected, made = single(*batch), half(*batch)
    assert made.layers[0].dtype == torch.bfloat16
    assert worst([layer.float() for layer in made.item(1)], expected.item(1)) < 0.05


def test_folded_weights_follow_every_change() -> None:
    made = toy("wav2vec2-base")
    wav = noise(made, [0.3])[0][None]
    with torch.no_grad():
        before = made(wav).layers[-1]
        made.position.scale.mul_(2.0)
        changed = made(wav).layers[-1]
        made.position.scale.data.div_(2.0)  # leaves the version as it was
        restored = made(wav).layers[-1]
    assert not torch.equal(changed, before)
    assert torch.equal(restored, before)


def test_training_mode_masks_and_drops_by_the_global_seed() -> None:
    made = toy("wav2vec2-base", dropout=0.0, attention_dropout=0.0, feature_dropout=0.0, layer_drop=0.0).train()
    masked = toy(
        "wav2vec2-base",
        dropout=0.0,
        attention_dropout=0.0,
        feature_dropout=0.0,
        layer_drop=0.0,
        mask_time_prob=0.5,
        mask_time_length=3,
        mask_feature_prob=0.2,
        mask_feature_length=4,
    ).train()
    masked.load_state_dict(made.state_dict())
    batch = pad(noise(made, [0.6, 0.4]))

    def run(encoder: WaveformEncoder, seed: int) -> Tensor:
        torch.manual_seed(seed)
        return encoder(*batch).layers[-1]

    assert torch.equal(run(made, 0), run(made, 1))
    assert torch.equal(run(masked, 0), run(masked, 0))
    assert not torch.equal(run(masked, 0), run(masked, 1))
    run(masked, 0).square().sum().backward()
    assert bool(masked.mask_embedding.grad.any())
    skipping = toy("wav2vec2-base", dropout=0.0, attention_dropout=0.0, feature_dropout=0.0, layer_drop=1.0).train()
    assert all(torch.equal(skipping(*batch).layers[0], layer) for layer in skipping(*batch).layers)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for again in (False, True):
        made = toy("wavlm-large", gradient_checkpointing=again, layer_drop=0.0).train()
        torch.manual_seed(0)
        made(*pad(noise(made, [0.5, 0.3]))).layers[-1].square().sum().backward()
        gradients.append([p.grad for name, p in made.named_parameters() if name != "mask_embedding"])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("case", ["wav2vec2-base", "wavlm-base"])
def test_on_a_gpu_blocks_get_real_frames_alone_where_one_call_takes_them(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, x = toy(case), torch.zeros(2, 3, 48, device="meta")
    assert not made._packs_blocks(x)
    monkeypatch.setattr("audiossl.encoders.waveform.model.suits", lambda x, num_heads: num_heads == 4)
    assert made._packs_blocks(x) == (case != "wavlm-base")  # which has biases by distance
    made.layout = "padded"
    assert not made._packs_blocks(x)
    made.layout = "packed"
    assert made._packs_blocks(x)


@pytest.mark.parametrize("case", ["wav2vec2-base", "mms-adapters", "data2vec"])
def test_padded_up_to_packed_blocks_is_padded_throughout(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: states, gradients and feed-forward outputs, blocks computed again in the backward pass."""
    made = toy(case, layer_drop=0.0, gradient_checkpointing=True, **dict.fromkeys(DROPOUTS, 0.0)).train()
    made.layout = "padded"
    wavs, lengths = pad(noise(made, [0.5, 0.3, 0.1]))
    frames, calls = made.num_frames(lengths), use_stand_in(monkeypatch)
    kept = torch.arange(int(frames.max())) % torch.tensor([2, 1, 9])[:, None] == 0
    found = []
    for packed in (False, True):
        monkeypatch.setattr(made, "_packs_blocks", lambda x, packed=packed: packed)
        states, outputs = made(wavs, lengths).layers, list[Tensor]()
        x = made.embed(made.local_features(wavs, lengths))
        some = made.contextualize(x, frames, 3, kept=kept, ffn_outputs=outputs)
        real = [state[item, :count] for state in states for item, count in enumerate(frames.tolist())]
        sum(each.sin().sum() for each in [*real, *some, *outputs]).backward()  # type: ignore[union-attr]
        found.append([*real, *some, *outputs, *(p.grad for name, p in made.named_parameters() if p.grad is not None)])
        made.zero_grad()
    assert len(calls) == 4 * made.config.num_layers  # twice each way, since blocks are computed twice
    assert {call.starts[-1] for call in calls} == {
        int(frames.sum()),
        int((kept & valid_frames(frames, kept.shape[1])).sum()),
    }
    assert max(relative_distance(ours, theirs) for ours, theirs in zip(*found, strict=True)) < 1e-4


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"width=50 must be a multiple of num_heads=4"):
        toy("wav2vec2-base", width=50)
    with pytest.raises(ConfigError, match="need one entry for each convolution"):
        toy("wav2vec2-base", conv_kernels=(10, 3))
    with pytest.raises(ConfigError, match="projection=false needs width=32"):
        toy("wav2vec2-base", projection=False)


def test_folders_that_are_not_what_they_say(tmp_path: Path) -> None:
    write_folder(toy("wav2vec2-base"), tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 3', '"num_hidden_layers": 4'))
    with pytest.raises(CheckpointError, match=r"missing: blocks\.3\."):
        load_upstream(f"hf:{tmp_path}")
    config.write_text(config.read_text().replace('"hidden_act": "gelu"', '"hidden_act": "relu"'))
    with pytest.raises(CheckpointError, match="hidden_act='relu'; only gelu is here"):
        load_upstream(f"hf:{tmp_path}")
    config.write_text("{")
    with pytest.raises(CheckpointError, match="is not readable JSON"):
        load_upstream(f"hf:{tmp_path}")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="log_mel has no form in transformers"):
        write_folder(load_upstream("log_mel"), tmp_path)
