"""Recordings that augmentations draw from: noises and impulse responses in a folder, in a manifest, or rows at hand.

Short recordings are kept at the rate that is wanted, in bounded memory. Of long ones only the part that was drawn is
read.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import AudioError, AudiosslError, ConfigError, did_you_mean
from audiossl.data.augmentations.signal import is_silent
from audiossl.data.fields import read_field
from audiossl.data.folders import no_sound_in, sounds_below
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import channel_blocks, path_of, place_of, read_cut, resample
from audiossl.data.sound_file import Wave
from audiossl.data.sources import cuts_from_files

if TYPE_CHECKING:
    from lhotse.cut import Cut

_WHOLE_S = 20.0  # longer recordings are read in part
_HELD = 1 << 24  # samples, 64 MiB
_CHECKED = 2000  # recordings that are looked at before training, evenly spread
_DRAWS = 8  # parts that are tried where some are silent
_LONGEST_ROOM_S = 20.0


class SoundBank:
    """Recordings of which parts are drawn.

    path: a folder that is searched at any depth, or a manifest.
    kind: what is chosen of it, see `NoiseConfig.kind`.
    sample_rate_hz: of what is drawn.
    where: the setting that errors name.
    not_of: 'room' or 'noise' is left out, where RIRS_NOISES tells.
    Raises ConfigError for no path and for a kind that is not there, AudioError for a folder without sound,
    ManifestError.
    """

    def __init__(self, path: str, kind: str, sample_rate_hz: int, where: str, not_of: str) -> None:
        if not path:
            raise ConfigError(f"{where} has no path; give path=FOLDER or a manifest.")
        self.path, self.sample_rate_hz, self.where = Path(path).expanduser(), sample_rate_hz, where
        kinds = comma_list(kind)
        found = _found(self.path, kinds, where)
        self.pieces = [piece for piece in found if of_rirs(_name(piece)) != not_of] or found
        self._cuts: OrderedDict[int, Cut] = OrderedDict()
        self._held: OrderedDict[tuple[int, int | None], Wave] = OrderedDict()

    def __len__(self) -> int:
        return len(self.pieces)

    def check(self, channel: int | None = None) -> None:
        """Raise AudioError for recordings that cannot be used. Of very many, some are looked at.

        channel: that is used of impulse responses. None for noises.
        """
        for number in range(0, len(self), -(-len(self) // _CHECKED)):
            try:
                cut = self._cut(number)
                if channel is not None:
                    self.room(number, channel)
                elif _has_no_sound(cut):
                    raise AudioError(f"{place_of(cut)} is silent: every sample is zero; leave it out.")
            except AudiosslError as error:
                raise AudioError(f"{self.where} cannot use {self.path}: {error}") from error

    def part(self, rng: random.Random, num_samples: int) -> Wave:
        """A part (num_samples,) of a recording, which comes again and again where it is shorter.

        rng: what recording and part are drawn by.
        num_samples: how long the part is.
        Returns zeros where eight parts on end were silent. Raises AudioError.
        """
        for _ in range(_DRAWS):
            number, place = rng.randrange(len(self)), rng.random()
            cut = self._cut(number)
            if cut.duration <= _WHOLE_S:
                found = looped(self._whole(number, None), place, num_samples)
            else:
                found = part_of(cut, place, num_samples, self.sample_rate_hz)
            if not is_silent(found):
                return found
        return np.zeros(num_samples, np.float32)

    def room(self, number: int, channel: int) -> Wave:
        """An impulse response (R,). Raises AudioError for one that is silent, too long or lacks the channel.

        number: which one.
        channel: of its channels, from 0.
        """
        cut = self._cut(number)
        if cut.duration > _LONGEST_ROOM_S:
            raise AudioError(
                f"{place_of(cut)} lasts {cut.duration:.0f} s, which is no impulse response of a room; choose others "
                f"by kind, or leave it out."
            )
        response = self._whole(number, channel)
        if is_silent(response):
            raise AudioError(f"{place_of(cut)} is silent, which is no impulse response; leave it out.")
        return response

    def state(self) -> str:
        """A hash that is another one when the recordings are others."""
        return state_of(self.pieces)

    def _cut(self, number: int) -> Cut:
        piece = self.pieces[number]
        if not isinstance(piece, Path):
            return piece
        if number not in self._cuts:
            (self._cuts[number],) = cuts_from_files([piece], [piece.stem])
            if len(self._cuts) > _CHECKED:
                self._cuts.popitem(last=False)
        return self._cuts[number]

    def _whole(self, number: int, channel: int | None) -> Wave:
        """A recording as it is needed again and again. channel: None for the mean of all."""
        key = number, channel
        if key not in self._held:
            cut = self._cut(number)
            self._held[key] = _read(cut, channel, self.sample_rate_hz)
            while sum(map(len, self._held.values())) > _HELD and len(self._held) > 1:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


def looped(sound: Wave, place: float, num_samples: int) -> Wave:
    """A part (num_samples,) of sound (S,), which begins again at its end where it is shorter.

    sound: not empty.
    place: from 0 to 1, where the part begins.
    num_samples: of the part.
    """
    if len(sound) >= num_samples:
        first = min(int(place * (len(sound) - num_samples + 1)), len(sound) - num_samples)
        return sound[first : first + num_samples]
    first = int(place * len(sound))
    return np.resize(np.roll(sound, -first), num_samples)


def part_of(cut: Cut, place: float, num_samples: int, sample_rate_hz: int) -> Wave:
    """A part (num_samples,) of a row, of which no more is read.

    cut: the row, which begins again at its end where it is shorter.
    place: from 0 to 1, where the part begins.
    num_samples: of the part.
    sample_rate_hz: of the part.
    Raises AudioError.
    """
    rate = cut.sampling_rate
    wanted = num_samples * rate // sample_rate_hz + 1
    if cut.num_samples <= wanted:
        return looped(read_cut(cut, sample_rate_hz), place, num_samples)
    first = min(int(place * (cut.num_samples - wanted + 1)), cut.num_samples - wanted)
    some = cut.truncate(offset=first / rate, duration=wanted / rate, preserve_id=True)
    return np.resize(read_cut(some, sample_rate_hz), num_samples)


def state_of(pieces: Iterable[Path | Cut]) -> str:
    """A hash of where recordings lie, and of the sizes and times of their files. Labels are no part of it."""
    found = hashlib.sha256()
    for piece in pieces:
        path = str(piece) if isinstance(piece, Path) else path_of(piece)
        facts: list[object] = [path]
        if path is not None and os.path.exists(path):
            status = os.stat(path)
            facts += [status.st_size, status.st_mtime_ns, status.st_ino]
        if not isinstance(piece, Path):
            facts += [piece.id, piece.start, piece.duration, read_field(piece, "speaker")]
            facts += [] if path else [json.dumps(piece.to_dict(), sort_keys=True, default=repr)]
        found.update(json.dumps(facts, default=repr).encode())
    return found.hexdigest()


def of_rirs(name: str) -> str:
    """What a path in RIRS_NOISES is of: 'noise' or 'room'. '' for any other path.

    >>> of_rirs("real_rirs_isotropic_noises/RVB2014_type1_noise_largeroom1_1.wav"), of_rirs("musan/noise/a.wav")
    ('noise', '')
    """
    path = Path(name)
    if "real_rirs_isotropic_noises" in path.parts:  # where names tell
        return "noise" if "noise" in path.stem else "room"
    found = {"simulated_rirs": "room", "pointsource_noises": "noise"}
    return next((found[part] for part in path.parts if part in found), "")


def _found(path: Path, kinds: Sequence[str], where: str) -> Sequence[Path | Cut]:
    """What is chosen of a folder or a manifest."""
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        rows = list(read_manifest(path))
        return _chosen(rows, [{read_field(row, "kind")} - {None} for row in rows], kinds, where)
    files = sounds_below(path) if path.is_dir() else []
    if not files:
        raise AudioError(f"{where} finds nothing in its path: {no_sound_in(path)}")
    return _chosen(files, [set(file.relative_to(path).parts[:-1]) for file in files], kinds, where)


def _chosen(
    pieces: Sequence[Path | Cut], of: Sequence[set[str | None]], kinds: Sequence[str], where: str
) -> Sequence[Path | Cut]:
    """The recordings of some kinds, all where none is named.

    pieces: the recordings.
    of: the kinds of each.
    kinds: that are wanted.
    where: the setting that errors name.
    Raises ConfigError for a kind that none of them has.
    """
    there = Counter(kind for each in of for kind in each if kind is not None)
    for kind in kinds:
        if kind not in there:
            known = did_you_mean(kind, there) if there else "It has recordings of no kind; leave kind out."
            raise ConfigError(f"{where} has kind={kind}, of which its path has nothing. {known}")
    return [piece for piece, own in zip(pieces, of, strict=True) if not kinds or own & set(kinds)]


def _name(piece: Path | Cut) -> str:
    return str(piece) if isinstance(piece, Path) else path_of(piece) or str(piece.id)


def _read(cut: Cut, channel: int | None, sample_rate_hz: int) -> Wave:
    if channel is None or path_of(cut) is None:
        return read_cut(cut, sample_rate_hz)
    frames = np.concatenate(list(channel_blocks(cut)))
    if channel >= frames.shape[1]:
        raise AudioError(
            f"{place_of(cut)} has {frames.shape[1]} channel(s), and channel={channel} is counted from 0; choose a "
            f"channel that all have."
        )
    return resample(np.ascontiguousarray(frames[:, channel]), cut.recording.sampling_rate, sample_rate_hz)


def _has_no_sound(cut: Cut) -> bool:
    if path_of(cut) is None:
        return is_silent(read_cut(cut, cut.sampling_rate))
    return not any(block.any() for block in channel_blocks(cut, block_s=1.0))
