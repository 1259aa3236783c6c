"""A folder that was written for others, sent to the Hugging Face hub in one commit."""

from __future__ import annotations

import re
from pathlib import Path

from audiossl.core.errors import OutputError, first_line
from audiossl.encoders.listed import CARD_NAME, LIST_NAME

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_LONGEST_NAME = 96
_OF_NOBODY = {".gitattributes", CARD_NAME}  # what the hub itself puts into a new repository


def check_repository(repository: str) -> None:
    """Raise OutputError for what is no <owner>/<name> of the hub."""
    parts = repository.split("/")
    ugly = "--" in repository or ".." in repository or any(part.endswith((".", "-", ".git")) for part in parts)
    if not _NAME.fullmatch(repository) or len(repository) > _LONGEST_NAME or ugly:
        raise OutputError(
            f"{repository!r} is no name of a repository; write <owner>/<name> of letters, digits, '-', '_' and '.'."
        )


def require_token() -> None:
    """Raise OutputError where huggingface_hub knows no token. It is not looked at otherwise."""
    from huggingface_hub import get_token

    if not get_token():
        raise OutputError("There is no token of the Hugging Face hub here; run `hf auth login`, or set HF_TOKEN.")


def upload(folder: Path, repository: str, *, private: bool) -> str:
    """Send a folder, which has a list of its files. The repository is made where there is none.

    folder: of `write_published`.
    repository: <owner>/<name>.
    private: whether only its owner may see it. One that is there already must be as is asked.
    Returns the revision.
    Raises OutputError where the hub does not take it, or where the repository holds something else.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        there = api.model_info(repository)
        others = {file.rfilename for file in there.siblings or ()} - _OF_NOBODY
        if others and LIST_NAME not in others:
            raise OutputError(f"{repository} holds {min(others)}, which audiossl did not send; choose another name.")
        if private and not there.private:
            raise OutputError(f"{repository} is there already and is public; choose another name, or make it private.")
        # One commit: nobody meets half of a run.
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        added = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in files]
        made = api.create_commit(repository, added, commit_message="Send with audiossl push")
    except OutputError:
        raise
    except Exception as error:  # the hub client raises its own, http and os errors
        raise OutputError(_why(repository, error)) from error
    return str(made.oid)


def _why(repository: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "The Hugging Face hub does not know your token; run `hf auth login` again, or mend HF_TOKEN."
    if status in (403, 404):
        return f"Your token may not write {repository}; choose an owner that is yours, or a token that may write."
    return f"{repository} could not be sent ({first_line(error)}); try again, or write it with --dry-run."
