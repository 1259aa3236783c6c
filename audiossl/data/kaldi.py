"""Kaldi data folders: wav.scp, segments, text, utt2spk and reco2file_and_channel.

What Kaldi's own validate_data_dir.sh refuses is refused here: an id that is there twice, one that the other files do
not have, and one that lacks a line in a file that exists.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import NamedTuple

from audiossl.core.errors import ManifestError
from audiossl.data.folders import SOUND_SUFFIXES
from audiossl.data.tables import SourceRow, numbered_lines, read_text

_log = logging.getLogger(__name__)
_READ = ("wav.scp", "segments", "text", "utt2spk", "reco2file_and_channel")
_BLANKS = re.compile(r"[ \t]+")
_MEND = "correct it (Kaldi's utils/fix_data_dir.sh drops such lines)"


class _Entry(NamedTuple):
    """What a file says of a key. where: its line."""

    where: str
    value: str


_Entries = dict[str, _Entry]


def kaldi_rows(place: Path, split: str) -> list[SourceRow]:
    """A row for each segment, or for each recording where the folder has no segments.

    place: a folder with wav.scp, in which paths are plain. text, utt2spk and reco2file_and_channel are read where they
        are, and what else is there is named in a warning.
    split: where the rows go.
    Raises ManifestError that names the line.
    """
    if not (place / "wav.scp").is_file():
        raise ManifestError(f"There is no {place / 'wav.scp'}; give a Kaldi data folder, or a folder of them.")
    _warn_of_others(place)
    recordings = _entries(place / "wav.scp")
    channels = _channels(place / "reco2file_and_channel", recordings)
    segments = _segments(place, recordings)
    texts, speakers = (_entries_of(place / name, segments) for name in ("text", "utt2spk"))
    rows = []
    for key, (where, recording, start, end) in segments.items():
        path = recordings[recording]
        if "|" in path.value:
            raise ManifestError(
                f"{path.where}: {path.value!r} is a command, which is not run; write its output to sound files first "
                f"and list their paths."
            )
        fields = {"path": path.value, "split": split, "start": start, "end": end}
        fields |= {"transcript": texts[key].value} if texts else {}
        fields |= {"speaker": speakers[key].value} if speakers else {}
        rows.append(SourceRow(where, key, fields, channels.get(recording)))
    return rows


class _Segment(NamedTuple):
    where: str
    recording: str
    start: str = ""
    end: str = ""


def _segments(place: Path, recordings: _Entries) -> dict[str, _Segment]:
    path = place / "segments"
    if not path.is_file():
        return {key: _Segment(entry.where, key) for key, entry in recordings.items()}
    found = {}
    for key, (where, value) in _entries(path).items():
        words = value.split()
        if len(words) != 3 or words[0] not in recordings:
            raise ManifestError(f"{where}: {value!r} is not `recording start end` with a recording of wav.scp.")
        recording, start, end = words
        found[key] = _Segment(where, recording, start, "" if end == "-1" else end)  # -1: to the end of the recording
    used = {segment.recording for segment in found.values()}
    unused = [entry for key, entry in recordings.items() if key not in used]
    if unused:
        raise ManifestError(f"{unused[0].where}: no line of {path} is of this recording{_and_more(unused)}; {_MEND}.")
    return found


def _entries_of(path: Path, segments: Mapping[str, _Segment]) -> _Entries:
    """A line for each segment, or nothing where there is no such file."""
    found = _entries(path)
    _check_same(path, found, {key: segment.where for key, segment in segments.items()})
    return found


def _check_same(path: Path, found: _Entries, wanted: Mapping[str, str]) -> None:
    """Raise ManifestError where a file that exists has not one line for each key.

    path: the file.
    found: its lines.
    wanted: the line of each key elsewhere.
    """
    if not path.is_file():
        return
    orphans = [key for key in found if key not in wanted]
    if orphans:
        known = next(iter(wanted.values()), "").rpartition(" line ")[0]
        raise ManifestError(f"{found[orphans[0]].where}: {known} has no {orphans[0]!r}{_and_more(orphans)}; {_MEND}.")
    missing = [key for key in wanted if key not in found]
    if missing:
        raise ManifestError(f"{wanted[missing[0]]}: {path} has no {missing[0]!r}{_and_more(missing)}; {_MEND}.")


def _channels(path: Path, recordings: _Entries) -> dict[str, int]:
    """The channel (from 0) of each recording, of `recording file channel` with A, B, ... or numbers from 1."""
    found = _entries(path)
    _check_same(path, found, {key: entry.where for key, entry in recordings.items()})
    channels = {}
    for key, (where, value) in found.items():
        sign = value.split()[-1] if len(value.split()) == 2 else ""
        number = int(sign) if sign.isdecimal() else ord(sign) - ord("A") + 1 if sign in list("ABCDEFGH") else 0
        if number < 1:
            raise ManifestError(f"{where}: {value!r} is not `file channel` with a channel A, B, ... or 1, 2, ...")
        channels[key] = number - 1
    return channels


def _entries(path: Path) -> _Entries:
    """What each line says of its key. Nothing where there is no such file."""
    found: _Entries = {}
    if not path.is_file():
        return found
    for where, line in numbered_lines(path, read_text(path, "Kaldi file")):
        key, *rest = _BLANKS.split(line.strip(), maxsplit=1)
        if key in found:
            raise ManifestError(f"{where}: {key!r} is there already ({found[key].where}), a duplicate; {_MEND}.")
        found[key] = _Entry(where, rest[0] if rest else "")
    return found


def _warn_of_others(place: Path) -> None:
    read = {*_READ, *(["spk2utt"] if (place / "utt2spk").is_file() else [])}  # the same, the other way round
    names = sorted(path.name for path in place.iterdir() if path.is_file() and path.name not in read)
    names = [name for name in names if not name.startswith(".") and Path(name).suffix.lower() not in SOUND_SUFFIXES]
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        _log.warning("%s: not read: %s%s.", place, ", ".join(names[:8]), more)


def _and_more(found: Sized) -> str:
    return f" ({len(found)} such)" if len(found) > 1 else ""
