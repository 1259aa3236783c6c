"""F0 of segments, and recordings resynthesised with a constant F0, by WORLD (pyworld, MIT).

What is left of a property when F0 is flat is not F0. A vocoder changes more than that, so that recordings with their
own F0 through the same vocoder are what flat ones are compared with. The flat F0 is 150 Hz in all
recordings, so that nothing of contours or of voices' heights is left in it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from audiossl.core.errors import ConfigError
from audiossl.core.files import atomic_write
from audiossl.core.terminal import progress
from audiossl.core.untrusted import file_names
from audiossl.data.reading import read_cut
from audiossl.data.segments import Segment, by_recording
from audiossl.metrics.clusters import Floats

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

RATE_HZ = 16000
STEP_S = 0.005
FLAT_HZ = 150.0
VOICED = 0.5  # least share of a segment that is voiced for it to have an F0
F0_COLUMN = "f0_hz"


def f0_track(sound: Floats, rate_hz: int = RATE_HZ) -> tuple[Floats, Floats]:
    """F0 in Hz every 5 ms, 0 where nothing is voiced, and the times in seconds, of samples (S,)."""
    world = _world()
    rough, times_s = world.dio(sound, rate_hz, frame_period=1000 * STEP_S)
    return world.stonemask(sound, rough, times_s, rate_hz), times_s


def with_f0(cuts: CutSet, segments: Sequence[Segment]) -> list[Segment]:
    """The segments that are voiced for half of their time at least, each with its median F0 in the column `f0_hz`."""
    rows: Mapping[str, Cut] = {str(cut.id): cut for cut in cuts}
    found = []
    grouped = list(by_recording(segments))
    for name, own in progress(grouped, "Measuring F0", total=len(grouped)):
        f0, times_s = f0_track(_sound(rows[name]))
        for each in own:
            inside = f0[(times_s >= each.start_s) & (times_s < each.end_s)]
            voiced = inside[inside > 0]
            if len(voiced) and len(voiced) >= VOICED * len(inside):
                fields = {**each.fields, F0_COLUMN: f"{np.median(voiced):.2f}"}
                found.append(each._replace(fields=fields))
    return found


def resynthesised(cuts: CutSet, folder: Path, *, flat: bool) -> CutSet:
    """The rows with their sound through the vocoder, written below a folder so that it can be listened to.

    cuts: the rows.
    folder: what it has already is taken as it is.
    flat: whether F0 is constant where it is voiced.
    """
    from lhotse import CutSet, Recording

    rows = list(cuts)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    names = file_names([str(cut.id) for cut in rows], ".flac")
    for cut, name in progress(list(zip(rows, names, strict=True)), f"Writing {folder.name}", total=len(rows)):
        path = folder / name
        if not path.is_file():
            with atomic_write(path) as temporary:
                soundfile.write(temporary, _through(_sound(cut), flat=flat), RATE_HZ, format="FLAC")
        recording = Recording.from_file(path, recording_id=str(cut.id))
        made.append(replace(cut, start=0.0, duration=recording.duration, recording=recording, channel=0, custom=None))
    return CutSet.from_cuts(made)


def _through(sound: Floats, *, flat: bool) -> Floats:
    world = _world()
    f0, times_s = f0_track(sound)
    envelope = world.cheaptrick(sound, f0, times_s, RATE_HZ)
    aperiodic = world.d4c(sound, f0, times_s, RATE_HZ)
    voiced = f0 > 0
    if flat:
        f0 = np.where(voiced, FLAT_HZ, 0.0)
    made = world.synthesize(f0, envelope, aperiodic, RATE_HZ, frame_period=1000 * STEP_S)
    whole = np.zeros(len(sound))
    whole[: len(made)] = made[: len(sound)]
    return whole / max(1.0, float(np.abs(whole).max()))


def _sound(cut: Cut) -> Floats:
    return np.ascontiguousarray(np.asarray(read_cut(cut, RATE_HZ), dtype=np.float64).reshape(-1))


def _world() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how it reads its own version
            import pyworld
    except ImportError as error:
        raise ConfigError(
            f"F0 needs the package pyworld, which does not import ({error}); run `pip install audiossl-toolkit[f0]`."
        ) from error
    return pyworld
