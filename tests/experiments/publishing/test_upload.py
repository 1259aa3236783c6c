"""A folder that is sent to a stand-in of the hub, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.hub import TOKEN, Hub, Repository

from audiossl.core.errors import OutputError
from audiossl.encoders.listed import write_list
from audiossl.experiments.publishing.upload import check_repository, require_token, upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "sent"
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "best.safetensors").write_bytes(b"weights")
    write_list(path, "run", ["checkpoints/best.safetensors"])
    return path


def test_all_files_in_one_commit_and_twice(folder: Path, hub: Hub) -> None:
    first = upload(folder, "me/run", private=True)
    made = hub.repositories["me/run"]
    assert made.private
    assert (list(made.commits)[1:], made.files["checkpoints/best.safetensors"]) == ([first], b"weights")
    assert len([request for request in hub.asked if "/commit/" in request]) == 1
    assert upload(folder, "me/run", private=True) in made.commits


def test_what_the_hub_does_not_take_is_a_sentence(
    folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.repositories["me/theirs"] = Repository(commits={"1": {"config.json": b"{}", "README.md": b""}})
    upload(folder, "me/public", private=False)
    cases = {
        ("me/theirs", False): r"holds config\.json, which audiossl did not send; choose another name",
        ("me/public", True): "is there already and is public; choose another name, or make it private",
        ("you/run", False): "Your token may not write you/run; choose an owner that is yours",
    }
    for (repository, private), words in cases.items():
        with pytest.raises(OutputError, match=words):
            upload(folder, repository, private=private)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_thief")
    with pytest.raises(OutputError, match="does not know your token; run `hf auth login` again") as caught:
        upload(folder, "me/run", private=False)
    assert "thief" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.unplug()
    with pytest.raises(
        OutputError, match="me/run could not be sent .*; try again, or write it with --dry-run"
    ) as caught:
        upload(folder, "me/run", private=False)
    assert "\n" not in str(caught.value)


def test_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(OutputError, match="There is no token of the Hugging Face hub here; run `hf auth login`"):
        require_token()


@pytest.mark.parametrize(
    "name", ["run", "a/b/c", "me/", "/x", "me/a b", "me/ä", "me/a--b", "me/..", "me/a.", "me/a.git", "m/" + 99 * "x"]
)
def test_a_name_that_the_hub_does_not_have(name: str) -> None:
    check_repository("me_2/a-b.c_d")
    with pytest.raises(OutputError, match="is no name of a repository; write <owner>/<name>"):
        check_repository(name)
