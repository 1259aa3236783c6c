"""The sound files in a folder, and a line about those that are passed over."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

# What libsndfile reads, by the suffixes that are in use.
SOUND_SUFFIXES = (
    ".aif",
    ".aifc",
    ".aiff",
    ".au",
    ".bwf",
    ".caf",
    ".flac",
    ".mp2",
    ".mp3",
    ".nist",
    ".oga",
    ".ogg",
    ".opus",
    ".rf64",
    ".snd",
    ".sph",
    ".voc",
    ".w64",
    ".wav",
    ".wave",
)
# What the package av reads, where it is installed.
VIDEO_SUFFIXES = (
    ".3ga",
    ".3gp",
    ".aac",
    ".ac3",
    ".amr",
    ".ape",
    ".avi",
    ".dsf",
    ".m4a",
    ".m4b",
    ".m4v",
    ".mka",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpg",
    ".tta",
    ".webm",
    ".wma",
    ".wv",
)
# Recordings that nothing here reads: to be converted, and not to be passed over without a word.
UNREADABLE_SUFFIXES = (".raw", ".wac")

_MEND = "convert them to WAV or FLAC, or run `pip install audiossl-toolkit[video]` for films and M4A,"

_log = logging.getLogger(__name__)


def readable_suffixes() -> tuple[str, ...]:
    """Of files that can be read by what is installed."""
    return (*SOUND_SUFFIXES, *VIDEO_SUFFIXES) if find_spec("av") else SOUND_SUFFIXES


def sounds_below(folder: str | Path) -> list[Path]:
    """All sound files at any depth of a folder, sorted. One line tells of recordings of other kinds."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix)
    suffixes = readable_suffixes()
    found = [path for path in paths if path.suffix.lower() in suffixes]
    if found and (left_out := unreadable(paths)):
        _log.warning("%s: %s; %s to use them.", folder, left_out, _MEND)
    return found


def unreadable(paths: Iterable[Path]) -> str:
    """What is said of recordings that cannot be read. '' where there are none.

    >>> unreadable([Path("a.raw"), Path("b.wav"), Path("c.RAW"), Path("d.wac")])
    '3 files were left out: 2 .raw, 1 .wac'
    """
    others = {*UNREADABLE_SUFFIXES, *VIDEO_SUFFIXES} - {*readable_suffixes()}
    counts = Counter(suffix for path in paths if (suffix := path.suffix.lower()) in others)
    if not counts:
        return ""
    total = counts.total()
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common())
    return f"{total} file{'s were' if total > 1 else ' was'} left out: {listed}"


def no_sound_in(folder: str | Path) -> str:
    """Why a folder has no sound file, and the way on."""
    place = Path(folder)
    if not place.is_dir():
        return f"{folder} is not a folder; give a folder with {', '.join(SOUND_SUFFIXES)} files."
    if left_out := unreadable(place.rglob("*")):
        return f"{folder} holds no sound file that can be read ({left_out}); {_MEND} to use them."
    return f"{folder} holds no sound file; give a folder with {', '.join(SOUND_SUFFIXES)} files."
