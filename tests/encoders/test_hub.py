"""Fetching, with a ledger of checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import miniatures as mini
from toys.rows import text_folder

from audiossl import load_upstream
from audiossl.core.errors import CheckpointError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.hub import local_path, shards_of
from audiossl.encoders.waveform.to_transformers import write_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_hub(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[tuple[str, str | None]]:
    """A hub in a folder: <root>/<revision>/<file>; what was asked for is noted."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    asked: list[tuple[str, str | None]] = []

    def download(repository: str, file: str, revision: str | None = None, local_files_only: bool = False) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("not in the cache")
        asked.append((file, revision))
        path = root / (revision or "newest") / file
        if not path.is_file():
            raise EntryNotFoundError(f"no {file}")
        return str(path.resolve())

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_a_repository_is_pinned_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first, second = mini.encoder(seed=1), mini.encoder(seed=2)
    write_folder(first, tmp_path / "hub" / "rev1")
    (tmp_path / "hub" / "newest").symlink_to("rev1")
    asked = fake_hub(monkeypatch, tmp_path / "hub")
    assert fingerprint(load_upstream("hf:someone/encoder")) == fingerprint(load_upstream(f"hf:{tmp_path / 'hub/rev1'}"))
    ledger = json.loads((cache / "checksums.json").read_text())["repositories"]["someone/encoder"]
    assert ledger["revision"] == "rev1"
    assert ledger["files"].keys() == {"config.json", "preprocessor_config.json", "model.safetensors"}

    write_folder(second, tmp_path / "hub" / "rev2")
    (tmp_path / "hub" / "newest").unlink()
    (tmp_path / "hub" / "newest").symlink_to("rev2")
    asked.clear()
    again = load_upstream("hf:someone/encoder")
    assert torch.equal(again.norm.weight, first.norm.weight)
    assert {revision for _, revision in asked} == {"rev1"}
    newer = load_upstream("hf:someone/encoder@rev2")
    assert torch.equal(newer.norm.weight, second.norm.weight)


def test_of_a_recogniser_the_vocabulary_comes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    folder = tmp_path / "hub" / "newest"
    write_folder(mini.encoder(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["Wav2Vec2ForCTC"]}))
    (folder / "vocab.json").write_text("{}")
    fake_hub(monkeypatch, tmp_path / "hub")
    assert (local_path("hf:someone/recogniser")[0] / "vocab.json").is_file()
    ledger = json.loads((cache / "checksums.json").read_text())["repositories"]["someone/recogniser"]
    assert "vocab.json" in ledger["files"]


def test_of_an_encoder_of_text_the_tokenizer_comes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text_folder(tmp_path / "hub" / "newest")
    fake_hub(monkeypatch, tmp_path / "hub")
    assert load_upstream("text", model="hf:someone/sentences").num_layers == 3


def test_weights_that_changed_under_the_same_revision_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(mini.encoder(seed=1), tmp_path / "hub" / "newest")
    fake_hub(monkeypatch, tmp_path / "hub")
    load_upstream("hf:someone/encoder")
    write_folder(mini.encoder(seed=2), tmp_path / "hub" / "newest")
    with pytest.raises(CheckpointError, match=r"model\.safetensors of someone/encoder .* not .* as on first use"):
        load_upstream("hf:someone/encoder")


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def download(*_: Any, **__: Any) -> str:
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(CheckpointError, match=r"could not be fetched \(no route to host\); fetch the folder") as caught:
        load_upstream("hf:someone/encoder")
    assert "\n" not in str(caught.value)


def test_an_address_is_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    path = mini.write(mini.shell(mini.encoder()), tmp_path / "published.pt")
    fetched = []

    def download(url: str, to: str, **_: Any) -> None:
        fetched.append(url)
        Path(to).write_bytes(path.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    address = "fairseq:https://example.org/models/checkpoint_best.pt"
    assert fingerprint(load_upstream(address)) == fingerprint(load_upstream(str(path)))
    load_upstream(address)
    assert fetched == ["https://example.org/models/checkpoint_best.pt"]
    (kept,) = cache.rglob("checkpoint_best.pt")
    kept.write_bytes(mini.write(mini.shell(mini.encoder(seed=2)), tmp_path / "other.pt").read_bytes())
    with pytest.raises(CheckpointError, match=r"checkpoint_best\.pt of https://example.org/.* has sha256"):
        load_upstream(address)


def test_a_torchaudio_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines = pytest.importorskip("torchaudio.pipelines")
    models = pytest.importorskip("torchaudio.models")
    arguments = mini.torchaudio_json(mini.encoder())
    theirs = models.wav2vec2_model(**arguments)
    weights = mini.write(theirs.state_dict(), tmp_path / "tiny.pth")
    bundle = pipelines.Wav2Vec2Bundle(
        _path="tiny.pth", _params=arguments, _sample_rate=16000, _normalize_waveform=True, _model_type="Wav2Vec2"
    )
    monkeypatch.setattr(pipelines, "TINY", bundle, raising=False)

    def download(url: str, to: str, **_: Any) -> None:
        assert url == "https://download.pytorch.org/torchaudio/models/tiny.pth"
        Path(to).write_bytes(weights.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    loaded = load_upstream("torchaudio:TINY")
    assert loaded.config.normalize == "layer_norm"
    assert loaded.config.num_heads == 4
    with pytest.raises(CheckpointError, match=r"has no bundle 'TINNY'.* Did you mean TINY"):
        load_upstream("torchaudio:TINNY")


def test_a_card_whose_weights_have_another_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(mini.encoder("hubert"), tmp_path / "hub" / "newest")
    fake_hub(monkeypatch, tmp_path / "hub")
    with pytest.raises(CheckpointError, match=r"is not what the card of 'hubert_base' describes: .*is 24, not 768"):
        load_upstream("hubert_base")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/../../../site-packages/evil.pth",
        "https://example.org/a/../b.pt",
        "https://../b.pt",
        "https:///etc/x.pt",
        "https://example.org//etc/x.pt",
        "https://example.org",
        "https://example.org/",
        "https://example.org/..",
        "https://example.org/a/./b.pt",
        "https://example.org/a?x=/../../b.pt",
        "https://example.org/a\nb.pt",
        "http://example.org/x.pt",
        "fairseq:http://example.org/x.pt",
        "fairseq:https://example.org/../x.pt",
    ],
)
def test_an_address_leads_nowhere_but_into_the_cache(
    address: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def download(url: str, to: str, **_: Any) -> None:
        raise AssertionError(f"{url} -> {to}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(CheckpointError, match=r"is no address of a file; write https://|is not encrypted; give an"):
        load_upstream(address)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["a/..", "../a", "a/b@..", "a/."])
def test_a_repository_is_no_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, tmp_path / "hub")
    with pytest.raises(CheckpointError, match=r"is no repository; write hf:|there is no file or folder"):
        load_upstream(f"hf:{name}")
    assert not asked


@pytest.mark.parametrize(
    "index",
    ["{}", "[]", "7", "{", '{"weight_map": ["a"]}', '{"weight_map": {}}', '{"weight_map": {"a": 1}}', "[" * 100_000]
    + [json.dumps({"weight_map": {"a": name}}) for name in ("../x.bin", "/x.bin", "a/x.bin", "..", "", "x\0")],
)
def test_an_index_that_names_no_files_beside_it_is_one_sentence(index: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(index)
    with pytest.raises(CheckpointError, match=str(path)) as caught:
        shards_of(path)
    assert "\n" not in str(caught.value)
    path.write_text(json.dumps({"weight_map": {"a": "2.bin", "b": "1.bin", "c": "2.bin"}}))
    assert shards_of(path) == ["1.bin", "2.bin"]


def test_shards_of_a_repository_lie_beside_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(mini.encoder(), tmp_path / "hub" / "newest")
    (tmp_path / "hub" / "newest" / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../x"}}')
    fake_hub(monkeypatch, tmp_path / "hub")
    with pytest.raises(CheckpointError, match=r"names the file '\.\./\.\./x', which is not beside it"):
        load_upstream("hf:someone/encoder")


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_ledger_that_is_damaged_is_one_sentence(text: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "checksums.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"checksums\.json is damaged: delete it to record checksums anew"):
        load_upstream("https://example.org/x.pt")


@pytest.mark.parametrize("name", ["../x", "/x", "a/x", "..", "", "."])
def test_what_a_run_has_in_its_folder_lies_there(name: str, tmp_path: Path) -> None:
    assert local_path("run:encoder.safetensors", str(tmp_path)) == (tmp_path / "encoder.safetensors", "")
    with pytest.raises(CheckpointError, match="which is no file in it; get the run again"):
        local_path(f"run:{name}", str(tmp_path))
    with pytest.raises(CheckpointError, match="unknown source 'run'"):
        local_path("run:encoder.safetensors")
