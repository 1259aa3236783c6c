"""Where weights lie: files, folders, packages of plug-ins, Hugging Face repositories, the web, torchaudio bundles.

What is fetched is pinned on first use. The repository's revision and the sha256 of each file are written into
`checksums.json` in the cache folder. A later load that meets anything else is refused.
"""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audiossl.core.cards import Card
from audiossl.core.errors import AudiosslError, CheckpointError, did_you_mean, first_line
from audiossl.core.files import atomic_write, cache_folder, read_json
from audiossl.encoders.checksums import check_file, open_ledger
from audiossl.encoders.listed import LIST_NAME, is_listed, read_list, require_whole

OF_RUN = "run"  # the prefix of what lies in the folder of the run that names it
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_TOKENIZER = (  # of a recogniser, or of an encoder of text
    "vocab.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "vocab.txt",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)


def local_path(reference: str, namer: str = "") -> tuple[Path, str]:
    """The file or folder that a reference names, fetched if need be, and the toolkit before its colon ('' for none).

    A repository that `audiossl push` made, a run or an encoder, is a folder of no other toolkit.

    reference: a path, '<toolkit>:<path>', 'hf:<repository>[@<revision>]', 'torchaudio:<bundle>' or
    '<toolkit>:https://...'. In a run, 'run:<file>' is what lies in its folder.
    namer: the folder that names it, '' for the user. What a folder names is not fetched, only found where it was.
    Raises CheckpointError.
    """
    if "\0" in reference:
        raise CheckpointError(f"{reference!r} is no path: it has a character of code 0 in it.")
    prefix, _, rest = reference.partition(":")
    if prefix == OF_RUN and namer:
        return _of_run(rest, namer), ""
    if Path(reference).exists() or not rest:
        return Path(reference), ""
    if prefix in ("https", "http"):
        return fetch_url(reference, namer), ""
    if prefix not in SOURCES:
        raise CheckpointError(f"{reference!r}: unknown source {prefix!r}. {did_you_mean(prefix, SOURCES)}")
    path = Path(rest).expanduser()
    if path.exists():
        return path, prefix
    if rest.startswith(("https://", "http://")):
        return fetch_url(rest, namer), prefix
    if prefix == "hf" and rest.count("/") == 1 and not rest.startswith((".", "/")):
        folder = fetch_repository(rest, namer)
        return folder, "" if is_listed(folder) else prefix
    if prefix == "torchaudio" and rest.isidentifier():
        return fetch_bundle(rest, namer), prefix
    repository = "; a repository is hf:<owner>/<name>" if prefix == "hf" else ""
    raise CheckpointError(f"{reference!r}: there is no file or folder {rest}{repository}.")


def packaged_weights(card: Card, owner: str) -> Path:
    """Weights that ship with a plug-in, beside its cards."""
    weights: str = getattr(card, "weights", "")
    return Path(str(importlib.resources.files(owner).joinpath(weights)))


def fetch_repository(repository: str, namer: str = "") -> Path:
    """What `<owner>/<name>[@<revision>]` of the Hugging Face hub has of use, as a local folder.

    That is the configuration and weights of transformers, or all that `audiossl push` lists. Without a revision, the
    one that was met first is taken from then on. namer: as for `local_path`.
    """
    named = f"hf:{repository}"
    repository, _, revision = repository.partition("@")
    if {".", ".."} & {*repository.split("/"), revision}:
        raise CheckpointError(f"{named!r} is no repository; write hf:<owner>/<name> or hf:<owner>/<name>@<revision>.")
    with open_ledger() as ledger:
        known = ledger.setdefault("repositories", {})
        pinned = known.get(repository, {"revision": "", "files": {}})
        revision = revision or pinned["revision"]
        # What is pinned and, all of it, in the hub's cache needs no network.
        files = _download(repository, revision, local=True) if revision and revision == pinned["revision"] else []
        if not pinned["files"].keys() <= _names_of(files) or not files:
            _require_asked(named, namer)
            files = _download(repository, revision)
        folder = files[0].parent
        # What does not match its own list is not pinned.
        made = _own_copy(repository, files) if files[0].name == LIST_NAME else folder
        entry = known.setdefault(repository, {"revision": folder.name, "files": {}})
        if folder.name == entry["revision"]:
            for file in files:
                name = file.relative_to(folder).as_posix()
                check_file(entry["files"], name, file, f"{repository} at revision {folder.name}")
    return made


def _names_of(files: Sequence[Path]) -> set[str]:
    """The paths of files relative to the folder of the first."""
    return {file.relative_to(files[0].parent).as_posix() for file in files}


def _own_copy(repository: str, files: Sequence[Path]) -> Path:
    """A folder with these files, the first of which is their list: the hub's cache has links, a run must have none.

    Raises CheckpointError where they are not as listed.
    """
    source = files[0].parent
    folder = cache_folder() / "hub" / repository / source.name
    missing = [file for file in files if not (folder / file.relative_to(source)).is_file()]
    for file in missing:
        with atomic_write(folder / file.relative_to(source)) as temporary:
            temporary.unlink()
            try:
                os.link(os.path.realpath(file), temporary)
            except OSError:  # another disk, or one without such links
                shutil.copyfile(file, temporary)
    if missing:
        try:
            require_whole(folder)
        except CheckpointError:
            shutil.rmtree(folder)
            raise
    return folder


def _of_run(name: str, folder: str) -> Path:
    """A file that lies in the folder of a run. Raises CheckpointError for a path that leads anywhere else."""
    if not name or Path(name).name != name or name == "..":
        raise CheckpointError(f"{folder} names {OF_RUN}:{name}, which is no file in it; get the run again.")
    return Path(folder) / name


def fetch_url(url: str, namer: str = "") -> Path:
    """A checkpoint from the web. Of torchaudio's exported models (AVES, BirdAVES), also the JSON that describes it.

    namer: as for `local_path`.
    """
    path = _fetch_file(url, namer)
    if url.endswith(".torchaudio.pt"):
        _fetch_file(described_by(url), namer)
    return path


def described_by(name: str) -> str:
    """The JSON file, beside a torchaudio checkpoint's path or address, with the arguments of its model."""
    return f"{name.removesuffix('.pt')}.model_config.json"


def _fetch_file(url: str, namer: str) -> Path:
    """A file from the web, fetched once. Later uses check that it is still the same. Raises CheckpointError."""
    from torch.hub import download_url_to_file

    # The path of the address is part of the file's, since many are called checkpoint_best.pt.
    path = cache_folder().joinpath("files", *_parts_of(url))
    name = path.name
    with open_ledger() as ledger:
        entry = ledger.setdefault("addresses", {}).setdefault(url, {})
        if not path.is_file():
            _require_asked(url, namer)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                download_url_to_file(url, str(path))
            except Exception as error:  # urllib's, http's and os errors
                raise _not_fetched(url, error, f"fetch it elsewhere and put it at {path}") from error
        check_file(entry, name, path, url)
    return path


def _parts_of(url: str) -> list[str]:
    """Host and path of an address, as parts of a path below the cache. Raises CheckpointError for what leads out of it.

    Nothing is fetched without encryption: on the way anybody could put another file in its place.
    """
    if not url.startswith("https://"):
        raise CheckpointError(
            f"{url!r} is not encrypted; give an https:// address, or fetch the file and name its path."
        )
    parts = url.removeprefix("https://").rstrip("/").split("/")
    if len(parts) < 2 or not all(parts) or {".", ".."} & {*parts} or not url.isprintable() or "\\" in url:
        raise CheckpointError(f"{url!r} is no address of a file; write https://<host>/<path>, without `..` in it.")
    return parts


def _require_asked(reference: str, namer: str) -> None:
    """Raise CheckpointError where a folder, and not the user, names what would have to be fetched."""
    if namer:
        raise CheckpointError(
            f"{namer} names {reference}, which was never fetched here, and nothing is fetched because a folder says "
            f"so; if you trust it, fetch it by `audiossl convert {reference} COPY.safetensors` and come again."
        )


def require_run_before(path: Path, sha256: str, namer: str) -> None:
    """Raise CheckpointError where a folder names a program that no user has ever named here.

    path: of the program, for the error.
    sha256: of the program.
    namer: as for `local_path`. What a user names is written down.
    """
    with open_ledger() as ledger:
        known = ledger.setdefault("programs", {})
        if namer and sha256 not in known:
            raise CheckpointError(
                f"{namer} names the program {path}, which nobody has run here, and no code runs because a folder says "
                f"so; if you trust it, run `audiossl describe torchscript:{path}` and come again."
            )
        known.setdefault(sha256, path.name)


def fetch_bundle(name: str, namer: str = "") -> Path:
    """A torchaudio bundle's weights, with the arguments of its model in a JSON file beside them.

    namer: as for `local_path`.
    """
    try:
        from torchaudio import pipelines
    except Exception as error:
        raise CheckpointError(
            f"torchaudio:{name} needs torchaudio, which does not import ({first_line(error)}); run `pip install "
            "torchaudio`, or fetch its weights elsewhere and give their file, as torchaudio:<file>."
        ) from error
    bundles = {key: value for key, value in vars(pipelines).items() if hasattr(value, "_params")}
    bundle = bundles.get(name)
    if bundle is None:
        raise CheckpointError(f"torchaudio has no bundle {name!r} of this family. {did_you_mean(name, bundles)}")
    where = str(bundle._path)
    path = fetch_url(where if "://" in where else f"https://download.pytorch.org/torchaudio/models/{where}", namer)
    described = {**bundle._params, "normalize": bool(bundle._normalize_waveform)}
    with atomic_write(path.with_name(described_by(path.name))) as temporary:
        temporary.write_text(json.dumps(described), encoding="utf-8")
    return path


def _download(repository: str, revision: str, *, local: bool = False) -> list[Path]:
    """The list of `audiossl push` and what it lists, or config.json, the preprocessor's (if any) and the weights.

    local: from the hub's cache alone. The list is empty if it does not have them all.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def get(file: str) -> Path:
        return Path(hf_hub_download(repository, file, revision=revision or None, local_files_only=local))

    def get_if_any(file: str) -> list[Path]:
        try:
            return [get(file)]
        except LocalEntryNotFoundError:
            if local:
                return []
            raise  # no network, which is not to say that there is no such file
        except EntryNotFoundError:
            return []

    try:
        if listed := get_if_any(LIST_NAME):
            return [*listed, *map(get, read_list(listed[0]).files)]
        files = [get("config.json"), *get_if_any("preprocessor_config.json")]
        kinds = read_described(files[0]).get("architectures") or ()
        # What has no preprocessor of sound reads text.
        if len(files) == 1 or any(str(name).endswith("ForCTC") for name in kinds):
            files += [found for name in _TOKENIZER for found in get_if_any(name)]
        for weights in _WEIGHTS:
            if index := get_if_any(f"{weights}.index.json"):
                return [*files, *index, *(get(shard) for shard in shards_of(index[0]))]
            if whole := get_if_any(weights):
                return [*files, *whole]
    except CheckpointError:
        raise
    except Exception as error:  # the hub client raises its own, http and os errors
        if local:
            return []
        raise _not_on_hub(repository, revision, error) from error
    if local:
        return []
    raise CheckpointError(f"The Hugging Face repository {repository} has no weights ({' or '.join(_WEIGHTS)}).")


def shards_of(index: Path) -> list[str]:
    """The files that an index beside weights in shards names. Raises CheckpointError for what is no such index.

    They lie beside it: what would lead to another folder is not followed.
    """
    found = read_described(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(file, str) for file in found.values()):
        raise CheckpointError(f"{index} has no `weight_map` from tensors to files; get it again.")
    shards = sorted(set(found.values()))
    for shard in shards:
        if shard in ("", ".", "..") or "/" in shard or "\0" in shard:
            raise CheckpointError(f"{index} names the file {shard!r}, which is not beside it; get it again.")
    return shards


def read_described(path: Path) -> dict[str, Any]:
    """A JSON file that lies beside weights. Raises CheckpointError for one that cannot be read."""
    try:
        return read_json(path)
    except AudiosslError as error:
        raise CheckpointError(str(error)) from error


def _not_on_hub(repository: str, revision: str, error: Exception) -> CheckpointError:
    """Why a repository, a revision of it or a file in it could not be had, in a sentence."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    what = f"the Hugging Face repository {repository}"
    if isinstance(error, RepositoryNotFoundError):
        return CheckpointError(
            f"{what[0].upper()}{what[1:]} does not exist, or it is private and your token may not read it; mend the "
            f"name, or log in by `hf auth login`."
        )
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError(
            f"{what[0].upper()}{what[1:]} has no revision {revision!r}; give a branch, tag or commit."
        )
    if isinstance(error, HFValidationError):
        return CheckpointError(f"{repository!r} is no name of a repository; write hf:<owner>/<name>.")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return CheckpointError(
            f"{what[0].upper()}{what[1:]} lacks a file ({first_line(error)}): it holds neither what `audiossl push` "
            f"sends nor an encoder of transformers."
        )
    fix = "fetch the folder elsewhere and give its path, as hf:<folder> where it is one of transformers"
    return _not_fetched(what, error, fix)


def _not_fetched(what: str, error: Exception, fix: str) -> CheckpointError:
    return CheckpointError(f"{what[0].upper()}{what[1:]} could not be fetched ({first_line(error)}); {fix}.")


def published(weights: str) -> bool:
    """True where a card's weights are to be fetched: 'hf:<repository>' or 'https://...'."""
    return weights.startswith(("hf:", "https://"))


# Prefixes of references, and the kinds of file that each may name.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "fairseq": ("fairseq", "microsoft", "state_dict"),
    "s3prl": ("s3prl", "fairseq", "microsoft", "state_dict"),
    "torchaudio": ("torchaudio", "state_dict"),
    "hf": ("huggingface",),
    "onnx": ("onnx",),
    "torchscript": ("torchscript",),
}
