"""What a file from elsewhere says decides neither what is opened nor what is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import miniatures as mini
from toys.tera import tiny

from audiossl import load_run, load_upstream
from audiossl.core.errors import AudiosslError, CheckpointError, UnknownNameError
from audiossl.core.files import read_json, write_json
from audiossl.core.tensors import fingerprint, write_tensors
from audiossl.encoders.naming import named_by, namer_of
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train

ADDRESS = "https://example.org/models/x.pt"
NAMES = [
    ADDRESS,
    "http://127.0.0.1:8765/x.pt",
    "https://example.org/../../site-packages/evil.pth",
    "hf:someone/encoder",
    "torchaudio:WAV2VEC2_BASE",
    "./local.safetensors",
    "fairseq:local.pt",
    "/etc/passwd",
    "..",
]


@pytest.fixture(autouse=True)
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked for over the network. Nobody answers."""
    import huggingface_hub

    asked: list[str] = []

    def refuse(what: str, *_: Any, local_files_only: bool = False, **__: Any) -> str:
        if not local_files_only:
            asked.append(what)
        raise OSError("no route to host")

    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    return asked


def checkpoint(path: Path, upstream: Any = "bandwidth", **options: Any) -> Path:
    write_tensors(path, {"a": torch.zeros(1)}, {"upstream": upstream, "options": options})
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deep", [False, True], ids=["options", "options of options"])
def test_a_checkpoint_names_registered_encoders_alone(
    tmp_path: Path, fetched: list[str], name: str, deep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_upstream(tiny(), tmp_path / "local.safetensors")
    inner = {"encoder": "bandwidth", "encoder_options": {"encoder": name}} if deep else {"encoder": name}
    path = checkpoint(tmp_path / "x.safetensors", **inner)
    with pytest.raises(CheckpointError, match="names the encoder .*, and a checkpoint may only name one of") as caught:
        load_upstream(str(path))
    assert "\n" not in str(caught.value)
    assert fetched == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"encoder": "${oc.env:SECRET}"},
        {"encoder": "https://host/${oc.env:SECRET}/x.pt"},
        {"encoder_options": {"name": ["${encoder}"]}},
        {"encoder_options": {"${mode}": 1}},
        {"encoder_options": {"name": "${oc.env:SECRET}"}},
    ],
)
def test_nothing_is_looked_up_for_a_checkpoint(
    tmp_path: Path, fetched: list[str], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    with pytest.raises(AudiosslError) as caught:
        load_upstream(str(checkpoint(tmp_path / "x.safetensors", **options)))
    assert "s3cr3t" not in str(caught.value)
    assert fetched == []


def test_what_the_user_names_beside_a_checkpoint_is_the_users(tmp_path: Path) -> None:
    save_upstream(tiny(), tmp_path / "mine.safetensors")
    made = load_upstream("bandwidth", encoder=str(tmp_path / "mine.safetensors"))
    save_upstream(made, tmp_path / "wide.safetensors")
    with pytest.raises(CheckpointError, match="give that option yourself, as in encoder=PATH"):
        load_upstream(str(tmp_path / "wide.safetensors"))
    again = load_upstream(str(tmp_path / "wide.safetensors"), encoder=str(tmp_path / "mine.safetensors"))
    assert fingerprint(again) == fingerprint(made)


def test_a_front_end_around_a_registered_encoder_loads(tmp_path: Path) -> None:
    made = load_upstream("bandwidth", encoder="tera_mini")
    save_upstream(made, tmp_path / "wide.safetensors")
    assert fingerprint(load_upstream(str(tmp_path / "wide.safetensors"))) == fingerprint(made)


@pytest.mark.parametrize(
    ("described", "error"),
    [
        ({"upstream": "os:system", "options": {}}, UnknownNameError),
        ({"upstream": ["tera"], "options": {}}, CheckpointError),
        ({"upstream": None, "options": {}}, CheckpointError),
        ({"upstream": "tera"}, CheckpointError),
        ({"upstream": "tera", "options": None}, CheckpointError),
        ({"upstream": "tera", "options": [1]}, CheckpointError),
        ({"upstream": "tera", "options": {"width": 10**15}}, ValueError),
        ({"upstream": "tera", "options": {"width": 65536, "ffn_width": 65536, "num_heads": 1}}, CheckpointError),
        ({"upstream": "tera", "options": {"num_layers": 10**9}}, ValueError),
        ({"upstream": "tera", "options": {"num_heads": 5}}, ValueError),
        ({"upstream": "wavlm", "options": {"conv_kernels": [0], "conv_widths": [8], "conv_strides": [1]}}, ValueError),
        ({"upstream": "fbank", "options": {"sample_rate_hz": 1}}, CheckpointError),
        ({"upstream": "huggingface", "options": {"model": {"model_type": ["x"]}}}, ValueError),
        (None, CheckpointError),
        ([], CheckpointError),
        (7, CheckpointError),
    ],
)
def test_a_description_that_cannot_be_is_one_sentence(tmp_path: Path, described: Any, error: type[Exception]) -> None:
    write_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, described)
    with pytest.raises(error) as caught:
        load_upstream(str(tmp_path / "x.safetensors"))
    assert isinstance(caught.value, AudiosslError)  # so that the command line prints it without a traceback
    assert "\n" not in str(caught.value)


def test_an_address_in_the_folder_of_a_run_is_not_fetched(tmp_path: Path, fetched: list[str]) -> None:
    for name in (ADDRESS, f"fairseq:{ADDRESS}", "hf:someone/encoder", "hf:someone/encoder@main"):
        write_json(tmp_path / "encoder.json", {"upstream": name, "fingerprint": "x"})
        with pytest.raises(CheckpointError, match="never fetched here, and nothing is fetched because a folder says"):
            load_upstream(str(tmp_path))
        with pytest.raises(CheckpointError, match="could not be fetched"):  # as the user may
            load_upstream(name)
    assert fetched == [ADDRESS, ADDRESS, "someone/encoder", "someone/encoder"]


def test_what_was_fetched_before_may_be_named(tmp_path: Path, fetched: list[str]) -> None:
    kept = tmp_path / "cache" / "files" / "example.org" / "models" / "x.pt"
    kept.parent.mkdir(parents=True)
    mini.write(mini.shell(mini.encoder()), kept)
    stored = {"upstream": ADDRESS, "fingerprint": fingerprint(load_upstream(ADDRESS)), "weights": "w.safetensors"}
    write_json(tmp_path / "encoder.json", stored)
    write_tensors(tmp_path / "w.safetensors", {}, {})
    assert load_upstream(str(tmp_path)).name == "wav2vec2"
    assert fetched == []


def test_a_run_names_addresses_in_its_configuration_no_more_than_in_its_encoder(
    experiment: Callable[..., Experiment], tmp_path: Path, fetched: list[str], audiossl: Callable[..., Any]
) -> None:
    run = train(experiment("trainer.steps=2", "trainer.eval_every=1"), tmp_path / "run")
    config = RunFolder(run).config()
    for name in (ADDRESS, "hf:someone/encoder"):
        RunFolder(run).write_config(replace(config, upstream=name))
        with pytest.raises(CheckpointError, match=f"{run} names {name}, which was never fetched here"):
            load_run(run)
        outcome = audiossl("train", "--resume", run)
        assert (outcome.code, "nothing is fetched because a folder says so" in outcome.err) == (2, True)
    assert fetched == []
    with pytest.raises(CheckpointError, match="could not be fetched"):  # the user asks for it
        load_run(run, overrides=[f"upstream={ADDRESS}"])
    assert fetched == [ADDRESS]


@pytest.mark.parametrize(
    "stored",
    [
        {"upstream": "tera_mini", "weights": "../best.safetensors"},
        {"upstream": "tera_mini", "weights": "/etc/best.safetensors"},
        {"runs": ["../other"]},
        {"runs": ["a/../../other"]},
    ],
)
def test_a_folder_does_not_lead_out_of_itself(tmp_path: Path, stored: dict[str, Any]) -> None:
    write_json(tmp_path / "encoder.json", stored)
    with pytest.raises(CheckpointError, match="is not below the folder"):
        load_upstream(str(tmp_path))


@pytest.mark.parametrize("stored", [{"upstream": "{folder}"}, {"runs": ["."]}, {"upstream": "{folder}/../run"}])
def test_a_folder_that_names_itself_is_one_sentence(tmp_path: Path, stored: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "encoder.json", json.loads(json.dumps(stored).replace("{folder}", str(folder))))
    assert read_json(folder / "encoder.json")
    with pytest.raises(CheckpointError, match="names itself as the encoder that it began with"):
        load_upstream(str(folder))


def test_a_file_is_as_free_as_what_named_it(tmp_path: Path) -> None:
    outer, inner = tmp_path / "run", tmp_path / "x.safetensors"
    assert namer_of("hf:a/b") == ""
    with named_by(outer, paths=True):
        assert namer_of("hf:a/b") == str(outer)
        with named_by(inner, asked={"encoder": "hf:a/b"}):
            assert namer_of("hf:a/b") == str(outer)  # the run's own options give no more than the run may
            with pytest.raises(CheckpointError, match="may only name one of"):
                namer_of("hf:c/d")
    with named_by(inner, asked=["hf:a/b"]):
        assert namer_of("hf:a/b") == ""
    assert namer_of("hf:c/d") == ""
