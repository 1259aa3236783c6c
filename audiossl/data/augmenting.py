"""NamedAugmentations by their names, one after another, on the sound of training rows.

data.augment=[{name: noise, path: musan, kind: noise, snr_db: [0, 15], p: 0.5}, {name: TanhDistortion, p: 0.1}]

Names in small letters are the toolkit's own (`audiossl.data.augmentations`). All others are of the library
audiomentations, which draws from the global generators of Python and numpy. They are set for each row and put back
afterwards, so that what becomes of a row follows from the seed, the epoch and the row, in whichever process it is read.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from audiossl.core.errors import AudioError, ConfigError, did_you_mean, first_line
from audiossl.data.augmentations import builtin
from audiossl.data.copies import DrawnBy, copy_of, of_copy
from audiossl.data.draws import random_of
from audiossl.data.fields import read_field
from audiossl.data.sound_file import Wave

if TYPE_CHECKING:
    from lhotse.cut import Cut

_EXTRA = "audiossl-toolkit[augment]"
_UNUSABLE = ("AdjustDuration", "Padding", "Trim", "Lambda")  # other lengths by design, or options that YAML has not
_LIBRARIES = ("audiomentations", "numpy", "scipy", "soundfile", "soxr")  # what changed sound depends on


class NamedAugmentations:
    """Changes the sound of one row at a time, by one augmentation after another.

    asked: for each its name with its options, as `data.augment` has them.
    sample_rate_hz: of the sound.
    rows: the training set.
    Raises ConfigError for names and options that are not there, AudioError and ManifestError for recordings that are
    not, before any row is read, and ConfigError where a library is not installed.
    """

    def __init__(self, asked: Sequence[Mapping[str, Any]], sample_rate_hz: int, rows: Iterable[Cut] = ()) -> None:
        self.asked, self.sample_rate_hz = asked, sample_rate_hz
        self._own: dict[int, builtin.SoundChange[Any]] = {}
        self._changes: list[tuple[str, Callable[..., Wave]]] = []
        for place, each in enumerate(asked):
            name, options = str(each["name"]), {key: value for key, value in each.items() if key != "name"}
            where = f"data.augment[{place}] ({name})"
            if name in builtin.BUILT_IN:
                self._own[place] = builtin.build(name, options, sample_rate_hz, where, rows)
            change = self._own.get(place) or self._built(_library(name), place, each)
            self._changes.append((name, change))

    def __call__(self, sound: Wave, cut: Cut, by: DrawnBy) -> Wave:
        """Changed sound (S,) of sound (S,).

        sound: of the row.
        cut: the row.
        by: what decides what is drawn for it.
        Raises ConfigError for another length, and AudioError for NaN or infinity.
        """
        with _drawing_from(random_of(cut.id, *by, " augment").getrandbits(32)):
            for place, (name, change) in enumerate(self._changes):
                if place in self._own:
                    rng = random_of(cut.id, *by, f" augment {place}")
                    changed = change(sound, rng, cut.id, read_field(cut, "speaker"))
                else:
                    changed = change(samples=sound, sample_rate=self.sample_rate_hz)
                sound = _checked(
                    np.asarray(changed, np.float32), len(sound), f"{name} of data.augment", f"row {cut.id}"
                )
        return sound

    def check(self) -> None:
        """Raise AudioError or ConfigError for recordings that cannot be used, before the first step."""
        for own in self._own.values():
            own.check()

    def identity(self) -> str:
        """A hash of all that changed sound depends on beside the row: options, recordings, code and libraries."""
        here = Path(__file__).parent
        code = [here / "augmenting.py", here / "draws.py", here / "copies.py", *(here / "augmentations").glob("*.py")]
        described = {
            "asked": list(self.asked),
            "rate": self.sample_rate_hz,
            "recordings": [own.state() for own in self._own.values()],
            "code": [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(code)],
            "libraries": [_version(name) for name in _LIBRARIES],
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()[:32]

    def _built(self, library: ModuleType, place: int, asked: Mapping[str, Any]) -> Callable[..., Wave]:
        """An augmentation that was tried on a second of noise."""
        name, options = asked["name"], {key: value for key, value in asked.items() if key != "name"}
        kind, where = _kind(library, name), f"data.augment[{place}]"
        known = list(inspect.signature(kind).parameters)
        for option in options:
            if option not in known:
                raise ConfigError(f"{where}: {name} has no option {option!r}. {did_you_mean(option, known)}")
        noise = 0.1 * np.random.default_rng(0).standard_normal(self.sample_rate_hz).astype(np.float32)
        try:
            with _drawing_from(0):
                tried = kind(**{**options, "p": 1.0})(samples=noise.copy(), sample_rate=self.sample_rate_hz)
            made: Callable[..., Wave] = kind(**options)
        except Exception as error:  # the library has errors of all kinds, and assertions
            raise ConfigError(f"{where}: {name} cannot be used ({first_line(error)}); mend its options.") from error
        _checked(np.asarray(tried), len(noise), f"{where}: {name}", "a second of noise")
        return made


class CopyChange:
    """Makes the sound of marked copies, and leaves that of other rows as it is.

    augmentations: of `data.augment`.
    """

    def __init__(self, augmentations: NamedAugmentations) -> None:
        self._augmentations, self.identity = augmentations, augmentations.identity()

    def __call__(self, cut: Cut, sound: Wave) -> Wave:
        """Sound (S,) of sound (S,) of a row. Raises as `NamedAugmentations` does."""
        number = copy_of(cut)
        return sound if number is None else self._augmentations(sound, cut, of_copy(number))


def _library(name: str) -> ModuleType:
    """The library that has all other names."""
    if name.islower():
        raise ConfigError(f"data.augment names {name!r}, which is not there. {did_you_mean(name, builtin.BUILT_IN)}")
    try:
        import audiomentations
    except ImportError as error:
        raise ConfigError(
            f"data.augment names {name}, for which it needs the package audiomentations, which is not installed; run "
            f"`pip install {_EXTRA}`, or use what needs none: {', '.join(builtin.BUILT_IN)}."
        ) from error
    return audiomentations  # type: ignore[no-any-return]


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _kind(library: ModuleType, name: str) -> Any:
    """The class of an augmentation of sound."""
    from audiomentations.core.transforms_interface import BaseWaveformTransform

    found = {key: kind for key, kind in vars(library).items() if inspect.isclass(kind)}
    known = [key for key, kind in found.items() if issubclass(kind, BaseWaveformTransform) and key not in _UNUSABLE]
    if name in _UNUSABLE:
        raise ConfigError(f"data.augment names {name}, which changes lengths or needs code; leave it out.")
    if name not in known:
        raise ConfigError(f"data.augment names {name!r}, which audiomentations has not. {did_you_mean(name, known)}")
    return found[name]


def _checked(sound: Wave, length: int, what: str, where: str) -> Wave:
    if sound.shape != (length,):
        raise ConfigError(
            f"{what} makes {sound.shape[-1]} samples of the {length} of {where}; choose options that keep the length."
        )
    if not np.isfinite(sound).all():
        raise AudioError(f"{what} makes NaN or infinity of {where}; choose milder options.")
    return sound


@contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """The global generators begin at a seed, and go on afterwards where they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  what the library draws from
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
