"""Sent to a stand-in of the hub and loaded from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import LABELS
from toys.hub import Hub, Repository
from toys.tera import tiny

from audiossl import Upstream, cuts_of, from_pretrained, load_run, load_upstream, push_to_hub, save_pretrained
from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.run import Run
from audiossl.experiments.start import train

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def pushed() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(experiment: Make, pushed: dict[str, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run on an encoder in a file, fine-tuned by LoRA, evaluated, in a folder that is not ASCII."""
    if not pushed:
        place = tmp_path_factory.mktemp("Größe")
        save_upstream(tiny(seed=3), place / "encoder.safetensors")
        settings = [
            f"upstream={place / 'encoder.safetensors'}",
            "finetune=lora",
            "trainer.steps=4",
            "trainer.eval_every=2",
        ]
        pushed["run"] = train(experiment(*settings), place / "run")
        load_run(pushed["run"], device="cpu").evaluate()
    return Path(shutil.copytree(pushed["run"], tmp_path / "mine" / "run"))


@pytest.fixture
def sounds(corpus: Path) -> Any:
    return cuts_of([str(corpus.parent / "audio" / "test")])


def test_a_run_predicts_the_same_from_the_hub(
    run: Path, pushed: dict[str, Path], hub: Hub, sounds: Any, corpus: Path, tmp_path: Path
) -> None:
    expected = load_run(run, device="cpu").predict(sounds)
    revision = push_to_hub(run, "me/tones", PushOptions(licence="mit", data="Tones"))
    sent = hub.repositories["me/tones"]
    assert sent.files.keys() == {
        *(".gitattributes", "README.md", "audiossl.json", "config.yaml", "run.json", "encoder.json", "interface.json"),
        *("encoder.safetensors", "checkpoints/best.safetensors"),
    }
    places = (pushed["run"].parent, corpus, tmp_path, Path.cwd())
    assert not [name for name, content in sent.files.items() for at in places if str(at).encode() in content]

    shutil.move(pushed["run"].parent, hidden := pushed["run"].parent.with_name("hidden"))
    try:
        loaded = load_run("hf:me/tones", device="cpu")
        assert loaded.predict(sounds) == expected
        assert load_run(Path(f"hf:me/tones@{revision}"), device="cpu").predict(sounds) == expected
        # The encoder as the run has trained it, LoRA merged.
        encoder = load_upstream("hf:me/tones")
    finally:
        shutil.move(hidden, pushed["run"].parent)
    assert fingerprint(encoder) == fingerprint(load_upstream(str(run)))
    assert loaded.folder == tmp_path / "cache" / "hub" / "me" / "tones" / revision
    assert load_run("hf:me/tones", overrides=[f"data.dir={corpus}"]).evaluate()["accuracy"].value > 0
    assert (loaded.folder / "test" / "metrics.json").is_file()

    # What was fetched once needs no network, and a later commit changes nothing of it.
    hub.asked.clear()
    hub.tamper("me/tones", "config.yaml", b"seed: 1\n")
    assert load_run("hf:me/tones", device="cpu").predict(sounds) == expected
    assert hub.asked == []


def test_a_tampered_file_is_refused(run: Path, hub: Hub, tmp_path: Path) -> None:
    push_to_hub(run, "me/tones")
    weights = bytearray(hub.repositories["me/tones"].files["encoder.safetensors"])
    weights[-1] ^= 1
    hub.tamper("me/tones", "encoder.safetensors", bytes(weights))
    with pytest.raises(CheckpointError, match=r"encoder\.safetensors has sha256 .* as audiossl\.json lists it"):
        load_run("hf:me/tones")
    with pytest.raises(CheckpointError, match=r"as audiossl\.json lists it"):
        load_upstream("hf:me/tones")
    hub.tamper("me/tones", "audiossl.json", b'{"kind": "run", "files": {"../../x": "0"}}')
    with pytest.raises(CheckpointError, match="which is not below it"):
        load_run("hf:me/tones")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".safetensors"]
    # A good commit is taken afterwards, for nothing was pinned. In the cache, too, all is compared.
    revision = push_to_hub(run, "me/tones")
    folder = load_run("hf:me/tones").folder
    assert folder.name == revision
    (folder / "run.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"run\.json .*has sha256"):
        load_run("hf:me/tones")


def test_an_encoder_to_and_from_a_folder_and_the_hub(hub: Hub, tmp_path: Path) -> None:
    encoder = tiny(seed=5)
    folder = save_pretrained(encoder, tmp_path / "encoder")
    push_to_hub(encoder, "me/encoder")
    for loaded in (from_pretrained(folder), from_pretrained("me/encoder"), load_upstream("hf:me/encoder")):
        assert isinstance(loaded, Upstream)
        assert fingerprint(loaded) == fingerprint(encoder)
        assert not loaded.training
    assert hub.repositories["me/encoder"].files.keys() - {".gitattributes"} == {path.name for path in folder.iterdir()}
    with pytest.raises(CheckpointError, match=r"hf:me/encoder is an encoder, .*; use it as upstream=hf:me/encoder"):
        load_run("hf:me/encoder")
    wavs = torch.zeros(1, 16000)
    assert torch.equal(from_pretrained(folder)(wavs).layers[-1], encoder(wavs).layers[-1])


@pytest.mark.slow
def test_a_run_by_its_folder_or_revision(run: Path, hub: Hub, tmp_path: Path, sounds: Any) -> None:
    first = load_run(run, device="cpu")
    folder = save_pretrained(first, tmp_path / "sent")
    loaded = from_pretrained(folder, device="cpu")
    assert isinstance(loaded, Run)
    assert loaded.predict(sounds) == first.predict(sounds)
    assert loaded.config.task["labels"] == list(LABELS)
    revision = push_to_hub(first, "me/tones")
    assert push_to_hub(folder, "me/tones") != revision  # what was published is a run like any other
    assert isinstance(from_pretrained("me/tones", revision, "cpu"), Run)


def test_what_cannot_be_loaded_is_a_sentence_each(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, words in {
        "hf:me/none": "me/none does not exist, or it is private and your token may not read it",
        "hf:me/a--b": "is no name of a repository; write hf:<owner>/<name>|does not exist",
        "hf:me": "there is no file or folder me; a repository is hf:<owner>/<name>",
    }.items():
        with pytest.raises(AudiosslError, match=words) as caught:
            load_run(name)
        assert "\n" not in str(caught.value)
    push_to_hub(tiny(), "me/encoder")
    with pytest.raises(CheckpointError, match="me/encoder has no revision 'v2'; give a branch, tag or commit"):
        from_pretrained("me/encoder", "v2")
    hub.repositories["me/empty"] = Repository(commits={"0" * 40: {"a.txt": b""}})
    with pytest.raises(CheckpointError, match=r"me/empty lacks a file .*neither what `audiossl push` sends nor"):
        load_upstream("hf:me/empty")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"me/other could not be fetched"):
        load_run("hf:me/other")
