"""Augmentations of the library audiomentations by their names, on the sound of training rows.

data.augment=[{name: AddGaussianSNR, min_snr_db: 5, max_snr_db: 20, p: 0.5}]

The library draws from the global generators of Python and numpy. They are set for each row and put back afterwards, so
that what becomes of a row follows from the seed, the epoch and the row, in whichever process it is read.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from audiossl.core.errors import AudioError, ConfigError, did_you_mean, first_line
from audiossl.data.draws import random_of
from audiossl.data.sound_file import Wave

_EXTRA = "audiossl-toolkit[augment]"
_UNUSABLE = ("AdjustDuration", "Padding", "Trim", "Lambda")  # other lengths by design, or options that YAML has not


class NamedAugmentations:
    """Changes the sound of one row at a time, by one augmentation after another.

    asked: for each its name with its options, as `data.augment` has them.
    sample_rate_hz: of the sound.
    seed: of the run.
    Raises ConfigError for names and options that the library does not take, before any row is read, and where it is
    not installed.
    """

    def __init__(self, asked: Sequence[Mapping[str, Any]], sample_rate_hz: int, seed: int) -> None:
        self.sample_rate_hz, self.seed = sample_rate_hz, seed
        library = _library()
        self._changes = [(str(each["name"]), self._built(library, place, each)) for place, each in enumerate(asked)]

    def __call__(self, sound: Wave, row: str, epoch: int, draw: int = 0) -> Wave:
        """Changed sound (S,) of sound (S,).

        sound: of the row.
        row: its id.
        epoch: which one.
        draw: how often the epoch had the row before.
        Raises ConfigError for another length, and AudioError for NaN or infinity.
        """
        with _drawing_from(random_of(row, self.seed, epoch, draw, " augment").getrandbits(32)):
            for name, change in self._changes:
                changed = change(samples=sound, sample_rate=self.sample_rate_hz)
                sound = _checked(np.asarray(changed, np.float32), len(sound), f"{name} of data.augment", f"row {row}")
        return sound

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


def _library() -> ModuleType:
    try:
        import audiomentations
    except ImportError as error:
        raise ConfigError(
            f"data.augment needs the package audiomentations, which is not installed; run `pip install {_EXTRA}`."
        ) from error
    return audiomentations  # type: ignore[no-any-return]


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
