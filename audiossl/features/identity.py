"""What must be equal for a stored hidden state to be the one that is wanted.

An entry of the cache is named by a hash of the encoder's weights and configuration, of the code that runs, and of
everything else that decides what is stored (`describe_entry`). An utterance in it is named by a hash of where its sound
lies and of the state of that file: inode, size, time of modification *and time of change*. The latter is set by the
kernel whenever a file is written, renamed or touched, and no program can choose it. A file of the same size whose time
of modification was set back is therefore another utterance, whatever the clock says. Two files that were written
together may have all three times and sizes equal, but not the inode. A path is followed through its links, so that a
link which points elsewhere now is another place.

The number of the device is no part of it: it differs between machines that share a disk, and after a remount.

Two cases remain. A file that was written an instant ago could be written again within the same tick of the clock, so
its state is taken a moment later. A file that changes while it is read is not stored (`Utterances.unchanged`). File
systems that keep no time of change (some mounted object stores) give the guarantee of size and time of modification
alone. A member of a shard is known by its content, wherever its tar lies: it is checked whenever it is read.
`audiossl cache verify --audio` compares the sound itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from audiossl.data.copies import copy_of
from audiossl.data.fields import read_field
from audiossl.data.local import sources_in
from audiossl.data.reading import path_of
from audiossl.data.shard_members import ShardMember
from audiossl.encoders.upstream import Upstream

if TYPE_CHECKING:
    from lhotse.cut import Cut
    from torch import Tensor

FORMAT = 2  # 2: a file is known by its inode too, and a recording is encoded alone or in a batch of all rows
_TICK_S = 0.05  # longer than a tick of the clock that file systems use
# What stands between a file and the encoder, and what every encoder may use.
_SHARED_CODE = (
    "audiossl.data.reading",
    "audiossl.data.sound_file",
    "audiossl.data.containers",
    "audiossl.data.shard_members",
    "audiossl.data.video",
    "audiossl.data.assembled",
    "audiossl.data.loader",
    "audiossl.encoders.upstream",
    "audiossl.encoders.engines.graph",
    "audiossl.encoders.engines.running",
)
_SHARED_FOLDERS = ("audiossl.nn",)


def describe_entry(
    upstream: Upstream, fingerprint: str, *, layers: Sequence[int], form: str, dtype: str, precision: str
) -> dict[str, Any]:
    """All that decides what an entry holds, but for the sound.

    upstream: the encoder.
    fingerprint: of the upstream.
    layers: the numbers of those that are stored.
    form: frames, pooled or statistics.
    dtype: in which they are stored.
    precision: of autocast.
    Returns plain data for JSON, of which `key_of` makes the entry's name.
    """
    import soundfile
    import soxr

    # Another line of code, another library or another setting of the sound may give other numbers.

    modules = code_modules(upstream)
    return {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "class": f"{type(upstream).__module__}:{type(upstream).__qualname__}",
        "engine": [getattr(upstream, "engine", "eager"), getattr(upstream, "precision", "fp32"), precision],
        "modules": modules,
        "code": code_version(modules),
        "torch": torch.__version__.split("+")[0],
        "layers": list(layers),
        "widths": [upstream.widths[layer] for layer in layers],
        "form": form,
        "dtype": dtype,
        "audio": {
            "sample_rate_hz": upstream.sample_rate_hz,
            "mono": "mean of the channels",
            "resampling": f"soxr {soxr.__version__} HQ",
            "decoding": soundfile.__libsndfile_version__,
        },
    }


def key_of(description: dict[str, Any]) -> str:
    """The name of an entry: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:32]


def code_modules(upstream: Upstream) -> list[str]:
    """Modules whose source decides what an upstream computes: those of its classes, and what all encoders share."""
    parts = [upstream, *upstream.modules()]
    parts += [eager] if (eager := getattr(upstream, "eager", None)) is not None else []
    names = {base.__module__ for part in parts for base in type(part).__mro__}
    own = {name for name in names if name not in sys.builtin_module_names and name.split(".")[0] != "torch"}
    return sorted(own | set(_SHARED_CODE) | set(_SHARED_FOLDERS))


def code_version(modules: Iterable[str]) -> str:
    """A hash of the source files of modules, and of all files of those that are folders.

    A module that is gone counts as empty.
    """
    digest = hashlib.sha256()
    for name in modules:
        for path in _sources(name):
            digest.update(f"{name} {path.name}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources(module: str) -> Iterator[Path]:
    loaded = getattr(sys.modules.get(module), "__file__", None)
    try:
        spec = None if loaded else importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return
    file = loaded or (spec.origin if spec else None)
    if not file or not Path(file).is_file():
        return
    yield from sorted(Path(file).parent.glob("*.py")) if module in _SHARED_FOLDERS else [Path(file)]


def utterance_of(cut: Cut) -> str | None:
    """A hash of a manifest row's sound: where it lies and the state of its files. None where no file tells it all.

    Labels, speakers and the row's id are no part of it.
    """
    path = path_of(cut)
    if path is not None:
        # A part of one file, as nearly all rows are: these few facts tell the same as all of the row, and faster.
        recording = cut.recording
        facts: list[Any] = [cut.start, cut.duration, cut.channel, recording.sampling_rate, recording.channel_ids]
        files = [path]
    else:
        # Several files, or a transform: all that the row says may change the sound.
        row = _without_supervisions(cut.to_dict())
        sources = list(sources_in(row))
        if any(source["type"] not in ("file", "memory") for source in sources):
            return None  # a command or an address may give anything tomorrow
        facts = [row]
        files = [str(source["source"]) for source in sources if source["type"] == "file"]
    try:
        states = [_state(file) for file in files]
    except OSError:
        return None  # reading it will say what is wrong
    described = json.dumps([states, facts], sort_keys=True, default=repr)
    return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()


def named_beside(utterance: str, values: Sequence[str | None]) -> str:
    """The name of an utterance of which more than the sound is read: what its row says in some fields."""
    return hashlib.blake2b(json.dumps([utterance, *values]).encode(), digest_size=16).hexdigest()


def sound_digest(sound: Tensor) -> str:
    """A hash of samples (S,), in hexadecimal."""
    return hashlib.blake2b(sound.contiguous().numpy().tobytes(), digest_size=16).hexdigest()


class Utterances:
    """The names of manifest rows' utterances (`utterance_of`). A file is looked at once, not in every epoch.

    changed_by: a hash of what changes the sound of marked copies.
    """

    def __init__(self, changed_by: str = "") -> None:
        self._changed_by = changed_by
        self._known: dict[tuple[Any, ...], str | None] = {}

    def of(self, cut: Cut) -> str | None:
        """The name of a row's utterance as its files were when they were looked at first. None as in `utterance_of`.

        That of a marked copy follows from the row's id too, by which its changes are drawn.
        """
        base, number = self._of_sound(cut), copy_of(cut)
        if base is None or number is None:
            return base
        described = json.dumps([base, str(cut.id), number, self._changed_by, read_field(cut, "speaker")])
        return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()

    def _of_sound(self, cut: Cut) -> str | None:
        path = path_of(cut)
        if path is None:
            return utterance_of(cut)
        place = (path, cut.start, cut.duration, str(cut.channel))
        if place not in self._known:
            self._known[place] = utterance_of(cut)
        return self._known[place]

    def unchanged(self, cut: Cut) -> bool:
        """Whether the files are still what they were when they were looked at first."""
        return self._of_sound(cut) == utterance_of(cut)


def _state(file: str) -> list[Any]:
    if (member := ShardMember.parse(file)) is not None:
        return ["member", member.digest, member.size]  # which is asserted whenever it is read
    path = os.path.realpath(file)
    status = os.stat(path)
    age_s = time.time() - max(status.st_mtime, status.st_ctime)
    if 0 <= age_s < _TICK_S:
        time.sleep(_TICK_S - age_s)
        status = os.stat(path)
    return [path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _without_supervisions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_supervisions(inner) for key, inner in value.items() if key != "supervisions"}
    if isinstance(value, list):
        return [_without_supervisions(inner) for inner in value]
    return value
