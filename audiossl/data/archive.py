"""The windows of an archive: recordings of any length and rate, each cut into parts of a few seconds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiossl.core.errors import AudioError
from audiossl.data.annotated import Windows
from audiossl.data.bad_rows import BadRows
from audiossl.data.config import ArchiveOptions
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import channel_blocks, path_of, read_cut

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)


def archive_windows(
    inputs: Sequence[str], options: ArchiveOptions, sample_rate_hz: int, bad: BadRows | None = None
) -> CutSet:
    """A row for each window of each recording, with an id that has its start and end.

    inputs: sound files, folders, patterns or manifests, whose fields the windows keep.
    options: how they are cut.
    sample_rate_hz: of the encoder.
    bad: what becomes of recordings that cannot be read. Where they are left out, all are read once to find them.
    Raises AudioError for no recording, for a file that cannot be read, which it names, and for recordings that are all
    of a lower rate than the encoder's.
    """
    from lhotse import CutSet

    recordings = list(cuts_of(inputs, bad))
    if bad and bad.skip:
        recordings = [cut for cut in recordings if _is_readable(cut, bad)]
    if not recordings:
        raise AudioError(f"There is no recording in {', '.join(inputs)}; name a folder or a manifest with sound.")
    _check_rates(recordings, options, sample_rate_hz)
    windows = Windows(options.window_s, options.hop_s or options.window_s / 2, short="keep")
    return CutSet.from_cuts(
        part_of(cut, start_s, end_s) for cut in recordings for start_s, end_s in windows.spans(cut.duration, cut.id)
    )


def _is_readable(cut: Cut, bad: BadRows) -> bool:
    """Whether all of a recording can be read. Why not is noted."""
    where = path_of(cut) or str(cut.id)
    with bad.of(where):
        for _ in channel_blocks(cut) if path_of(cut) else (read_cut(cut, cut.sampling_rate),):
            pass
    return where not in bad.left_out


def part_of(cut: Cut, start_s: float, end_s: float) -> Cut:
    """A part of a row, whose id says which."""
    if start_s <= 0 and end_s >= cut.duration:
        return cut
    part = cut.truncate(offset=start_s, duration=min(end_s, cut.duration) - start_s)
    return part.with_id(f"{cut.id}-{start_s:.3f}-{end_s:.3f}")


def _check_rates(recordings: Sequence[Cut], options: ArchiveOptions, sample_rate_hz: int) -> None:
    lower = [cut for cut in recordings if cut.sampling_rate < sample_rate_hz]
    if not lower or options.lower_rates:
        return
    highest = max(cut.sampling_rate for cut in recordings)
    if len(lower) == len(recordings):
        raise AudioError(
            f"No recording of the archive has the encoder's rate of {sample_rate_hz} Hz (the highest is {highest} Hz), "
            f"so that all above {highest // 2} Hz would be empty; take an encoder of a lower rate, or --lower-rates."
        )
    _log.warning(
        "%d of %d recordings have a lower rate than the encoder's %d Hz, for instance %s of %d Hz.",
        len(lower),
        len(recordings),
        sample_rate_hz,
        lower[0].id,
        lower[0].sampling_rate,
    )
