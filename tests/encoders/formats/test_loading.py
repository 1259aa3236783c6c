"""Every format in which encoders of the wav2vec 2.0 family are published gives the encoder that was written."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import miniatures as mini

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.encoders.testing import noise
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.to_transformers import write_folder

Writer = Callable[[WaveformEncoder], dict[str, Any]]


def assert_same(loaded: Any, made: WaveformEncoder, family: str | None = None) -> None:
    assert loaded.name == (family or made.name)
    state = loaded.state_dict()
    assert state.keys() == made.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in made.state_dict().items())
    for field in ("num_heads", "pre_norm", "normalize", "conv_strides", "position_kernel", "sample_rate_hz"):
        assert getattr(loaded.config, field) == getattr(made.config, field), field
    wav = noise(made, [0.3])[0][None]
    with torch.no_grad():
        assert all(map(torch.equal, loaded(wav).layers, made(wav).layers))


@pytest.mark.parametrize("style", [{}, {**mini.LARGE, "conv_bias": True}], ids=["base", "large"])
@pytest.mark.parametrize(
    "write",
    [mini.shell, mini.namespace_era, mini.omegaconf_era, mini.with_recogniser, mini.with_pretraining_heads],
    ids=lambda write: write.__name__,
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_every_era_of_fairseq(tmp_path: Path, write: Writer, style: dict[str, Any], zipped: bool) -> None:
    made = mini.encoder(**style)
    path = mini.write(write(made), tmp_path / "checkpoint_best.pt", zipped=zipped)
    assert_same(load_upstream(f"fairseq:{path}"), made)
    assert_same(load_upstream(str(path)), made)


@pytest.mark.parametrize("style", [{}, mini.LARGE], ids=["base", "large"])
def test_files_that_hold_objects_of_fairseq(tmp_path: Path, style: dict[str, Any]) -> None:
    made = mini.encoder("hubert", **style)
    with mini.published_classes() as classes:
        path = mini.write(mini.with_objects(made, classes), tmp_path / "hubert.pt")
    assert_same(load_upstream(f"fairseq:{path}"), made)


def test_batch_normed_positions(tmp_path: Path) -> None:
    made = mini.encoder("hubert", position_norm="batch")
    content = mini.shell(made)
    content["cfg"]["model"]["_name"] = "hubert"
    assert_same(load_upstream(str(mini.write(content, tmp_path / "mhubert.pt"))), made)


def test_data2vec(tmp_path: Path) -> None:
    made = mini.encoder("data2vec", position_kernel=95, position_depth=5)
    content = mini.with_pretraining_heads(made)
    content["cfg"]["model"] = mini.architecture(made, "data2vec_audio", pos_conv_depth=5)
    assert_same(load_upstream(f"fairseq:{mini.write(content, tmp_path / 'audio_base_ls.pt')}"), made)


@pytest.mark.parametrize("style", [{}, mini.LARGE], ids=["base", "large"])
def test_wavlm_of_microsoft(tmp_path: Path, style: dict[str, Any]) -> None:
    made = mini.encoder("wavlm", **style)
    path = mini.write(mini.microsoft(made), tmp_path / "WavLM.pt")
    assert_same(load_upstream(f"s3prl:{path}"), made)
    assert load_upstream(str(path)).config.max_distance == 800


def test_unispeech_sat_is_known_by_its_name(tmp_path: Path) -> None:
    made = mini.encoder("unispeech_sat")
    content = mini.shell(made)
    content["cfg"]["model"]["_name"] = "unispeech_sat"
    content["model"]["spk_proj.weight"] = content["model"]["encoder.layer_norm_for_extract.weight"] = torch.zeros(24)
    assert_same(load_upstream(str(mini.write(content, tmp_path / "sat.pt"))), made)


def test_unispeech_sat_in_the_manner_of_wavlm(tmp_path: Path) -> None:
    made = mini.encoder("unispeech_sat", **mini.LARGE)
    content = mini.microsoft(made)
    content["cfg"] |= {"relative_position_embedding": False, "gru_rel_pos": False}
    assert_same(load_upstream(f"s3prl:{mini.write(content, tmp_path / 'unispeech_sat_large.pt')}"), made)


def test_an_encoder_inside_a_sequence_to_sequence_model(tmp_path: Path) -> None:
    made = mini.encoder()
    state = {f"encoder.w2v_model.{name}": value for name, value in mini.fairseq_state(made).items()}
    state |= {"decoder.layers.0.fc1.weight": torch.zeros(2, 2), "encoder.proj.weight": torch.zeros(2, 24)}
    content = mini.shell(made, state)
    content["cfg"]["model"] = {"_name": "wav2vec_seq2seq", "w2v_args": None, "w2v_path": "/x.pt"}
    assert_same(load_upstream(f"fairseq:{mini.write(content, tmp_path / 's2s.pt')}", num_heads=4), made)


@pytest.mark.parametrize("name", ["hubert", "wav2vec2"])
def test_files_that_s3prl_converted(tmp_path: Path, name: str) -> None:
    made = mini.encoder(name)
    path = mini.write(mini.s3prl(made, name), tmp_path / "converted.pt")
    assert_same(load_upstream(f"s3prl:{path}"), made)
    with pytest.raises(CheckpointError, match="is a s3prl checkpoint, not one of fairseq; leave `fairseq:` out"):
        load_upstream(f"fairseq:{path}")


def test_distilhubert_of_s3prl(tmp_path: Path) -> None:
    made = mini.encoder("distilhubert")
    assert_same(load_upstream(f"s3prl:{mini.write(mini.distiller(made), tmp_path / 'd.ckpt')}"), made)


def test_torchaudio_state_dicts_with_and_without_their_json(tmp_path: Path) -> None:
    models = pytest.importorskip("torchaudio.models")
    made = mini.encoder("wav2vec2", pre_norm=True, conv_norm="layer", conv_bias=True, normalize="layer_norm")
    arguments = mini.torchaudio_json(made)
    theirs = models.wav2vec2_model(**arguments).eval()
    path = tmp_path / "birdaves-biox.torchaudio.pt"
    mini.write(theirs.state_dict(), path)
    guessed = load_upstream(f"torchaudio:{path}", num_heads=4)  # the tensors do not show them
    (tmp_path / "birdaves-biox.torchaudio.model_config.json").write_text(json.dumps(arguments))
    ours = load_upstream(f"torchaudio:{path}")
    assert ours.config == guessed.config
    wav = noise(ours, [0.5])[0][None]
    with torch.no_grad():
        expected = theirs.extract_features(ours.normalized(wav, torch.tensor([wav.shape[1]])))[0]
        layers = ours(wav).layers
    for mine, other in zip(layers[1:-1], expected[:-1], strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_bare_tensors_warn_that_heads_are_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = mini.encoder(num_heads=12)
    path = mini.write(mini.fairseq_state(made), tmp_path / "plain.pt")
    with caplog.at_level(logging.WARNING):
        assert_same(load_upstream(str(path)), made)
    assert "does not say its number of attention heads: 12 are assumed; give num_heads=" in caplog.text
    assert load_upstream(str(path), num_heads=4).config.num_heads == 4


def test_options_change_how_it_runs_and_random_weights_are_random(tmp_path: Path) -> None:
    made = mini.encoder()
    path = mini.write(mini.shell(made), tmp_path / "c.pt")
    assert load_upstream(str(path), padding="legacy", layer_drop=0.0).config.padding == "legacy"
    drawn = load_upstream(str(path), weights="random")
    assert drawn.config == load_upstream(str(path)).config
    assert not torch.equal(drawn.blocks[0].qkv.weight, made.blocks[0].qkv.weight)


def test_half_precision_tensors_become_single(tmp_path: Path) -> None:
    made = mini.encoder()
    state = {name: value.half() for name, value in mini.fairseq_state(made).items()}
    loaded = load_upstream(str(mini.write(mini.shell(made, state), tmp_path / "half.pt")))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}


def _names_of(toolkit: str, made: WaveformEncoder) -> dict[str, Any]:
    """The tensors under the names of a toolkit, transformers' as part of a recogniser."""
    state = to_original(made.state_dict(), made.config.conv_norm, toolkit)
    if toolkit == "fairseq":
        return state
    head = {"lm_head.weight": torch.zeros(5, 24), "lm_head.bias": torch.zeros(5)}
    return {**{f"wav2vec2.{name}": value for name, value in state.items()}, **head}


WRAPPERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "DataParallel": lambda state: _under("module.", state),
    "torch.compile": lambda state: _under("_orig_mod.", state),
    "compiled and distributed": lambda state: {"model": _under("_orig_mod.module.", state)},
    "Lightning": lambda state: {"state_dict": _under("model.", state), "epoch": 3, "loops": {"x": {}}},
    "Lightning with a head": lambda state: {
        "state_dict": {**_under("net.encoder.", state), "net.decoder.weight": torch.zeros(2), "loss.w": torch.ones(1)}
    },
    "ESPnet": lambda state: {
        **_under("frontend.upstream.upstream.model.", state),
        "frontend.featurizer.weights": torch.zeros(3),
        "encoder.encoders.0.conv_module.norm.weight": torch.zeros(3),
        "ctc.ctc_lo.weight": torch.zeros(3),
    },
    "SpeechBrain": lambda state: _under("0.model.", state),
    "peft without adapters": lambda state: _under("base_model.model.", state),
    "a trainer of one's own": lambda state: {
        "net": {"weights": _under("enc.", state)},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"params": [0]}]},
        "step": 7,
    },
}


def _under(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize("toolkit", ["fairseq", "huggingface"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_an_encoder_inside_of_whatever_wraps_it(tmp_path: Path, wrapper: str, toolkit: str) -> None:
    made = mini.encoder()
    path = mini.write(WRAPPERS[wrapper](_names_of(toolkit, made)), tmp_path / "x.pt")
    assert_same(load_upstream(str(path), num_heads=4), made)


def test_an_encoder_that_is_not_whole_under_its_prefix_is_refused(tmp_path: Path) -> None:
    state = _under("net.encoder.", mini.fairseq_state(mini.encoder()))
    state["net.encoder.encoder.layers.1.fc2.other"] = state.pop("net.encoder.encoder.layers.1.fc2.bias")
    path = mini.write(state, tmp_path / "x.pt")
    with pytest.raises(
        CheckpointError, match=r"missing: blocks\.1\.down\.bias; unexpected: encoder\.layers\.1\.fc2\.other"
    ):
        load_upstream(str(path), num_heads=4)


def test_weights_of_two_models_are_not_chosen_between(tmp_path: Path) -> None:
    state = mini.fairseq_state(mini.encoder())
    path = mini.write({"teacher": state, "student": state}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="it holds: teacher, student"):
        load_upstream(str(path))
    path = mini.write({**_under("teacher.", state), **_under("student.", state)}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match=r"holds encoders under 'student\.' and 'teacher\.': save the state_dict"):
        load_upstream(str(path))


def test_adapters_of_a_language_that_lie_in_another_file_are_missing(tmp_path: Path) -> None:
    """As those of MMS: what the folder says goes before what its main file shows."""
    write_folder(mini.encoder(adapter_width=4), tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in state.items() if "adapter_layer" not in name}
    save_file(kept, tmp_path / "model.safetensors")
    save_file({n: v for n, v in state.items() if n not in kept}, tmp_path / "adapter.deu.safetensors")
    with pytest.raises(CheckpointError, match=r"missing: blocks\.0\.adapter\."):
        load_upstream(f"hf:{tmp_path}")


def _half(content: dict[str, Any]) -> None:
    for name in [name for name in content["model"] if "encoder.layers.1." in name]:
        del content["model"][name]


def _extra(content: dict[str, Any]) -> None:
    content["model"]["my_head.weight"] = torch.zeros(3)


def _wrong_shape(content: dict[str, Any]) -> None:
    content["model"]["encoder.layers.1.fc1.bias"] = torch.zeros(5)


def _no_position(content: dict[str, Any]) -> None:
    del content["model"]["encoder.pos_conv.0.weight_v"]


def _integers(content: dict[str, Any]) -> None:
    content["model"]["encoder.layers.1.fc1.bias"] = torch.zeros(32, dtype=torch.int64)


def _nan(content: dict[str, Any]) -> None:
    content["model"]["encoder.layers.1.fc1.bias"] = torch.full((32,), torch.nan)


def _relu(content: dict[str, Any]) -> None:
    content["cfg"]["model"]["activation_fn"] = "relu"


def _conformer(content: dict[str, Any]) -> None:
    content["cfg"]["model"]["layer_type"] = "conformer"


def _data2vec2(content: dict[str, Any]) -> None:
    content["model"]["modality_encoders.AUDIO.x"] = torch.zeros(1)


def _code_in_stem(content: dict[str, Any]) -> None:
    content["cfg"]["model"]["conv_feature_layers"] = "__import__('os').system('true')"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_half, r"does not fit the wav2vec2 encoder \(2 blocks of 24\).* missing: blocks\.1\.attention_norm\.bias, "),
        (_extra, r"unexpected: my_head\.weight"),
        (_wrong_shape, r"wrong shape: blocks\.1\.up\.bias \(5,\) instead of \(32,\)"),
        (_integers, r"wrong type: blocks\.1\.up\.bias torch\.int64 instead of torch\.float32"),
        (_nan, r"holds NaN or infinity in 1 tensors, encoder\.layers\.1\.fc1\.bias first"),
        (_no_position, "has no position convolution"),
        (_relu, "uses the activation 'relu'; only gelu is here"),
        (_conformer, "is a wav2vec 2.0 Conformer of fairseq; load its transformers conversion"),
        (_data2vec2, r"is data2vec 2\.0"),
        (_code_in_stem, "The stem's description .* cannot be read"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, spoil: Callable[..., None], message: str) -> None:
    content = mini.shell(mini.encoder())
    spoil(content)
    path = mini.write(content, tmp_path / "spoiled.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_upstream(f"fairseq:{path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_one_sentence(tmp_path: Path, share: float) -> None:
    path = mini.write(mini.shell(mini.encoder()), tmp_path / "cut.pt")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="is not a whole torch checkpoint"):
        load_upstream(f"fairseq:{path}")


@pytest.mark.slow
def test_reference_files_give_finite_features_or_are_refused_by_name() -> None:
    folder = os.environ.get("AUDIOSSL_GOLDEN")
    if not folder:
        pytest.skip("AUDIOSSL_GOLDEN does not name the folder of reference checkpoints")
    refused = {}
    for path in sorted((Path(folder) / "formats").iterdir()):
        try:
            encoder = load_upstream(str(path))
        except CheckpointError as error:
            refused[path.name] = str(error)
            continue
        wav = noise(encoder, [0.5])[0][None]
        with torch.no_grad():
            first, again = encoder(wav).layers, encoder(wav).layers
        assert all(bool(layer.isfinite().all()) for layer in first)
        assert all(map(torch.equal, first, again))
    assert refused.keys() == {"mae_args_posixpath.pth", "s3prl_old_optimizer_object.ckpt"}
    assert "AudioMAE" in refused["mae_args_posixpath.pth"]
    assert "TERA" in refused["s3prl_old_optimizer_object.ckpt"]
