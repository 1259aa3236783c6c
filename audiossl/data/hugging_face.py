"""Data of the package `datasets`: a repository of the hub, or a folder that it has written or can load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ConfigError, ManifestError, first_line
from audiossl.core.ranges import Count, check_ranges
from audiossl.data.bad_rows import BadRows
from audiossl.data.frames import TableReading
from audiossl.data.sound_folder import SoundFolder
from audiossl.data.sources import cuts_from_rows

if TYPE_CHECKING:
    from lhotse import CutSet

# What `save_to_disk` leaves in a folder of one split, and of several.
_ON_DISK = ("state.json", "dataset_dict.json")


@dataclass(frozen=True)
class HuggingFaceSettings:
    """What is read of a data set."""

    splits: tuple[str, ...] = ()
    """Names of its splits. Empty for all."""
    config: str = ""
    """The name of its configuration, often a language. Empty for the default."""
    revision: str = ""
    """The commit, branch or tag of a repository. Empty for the newest."""
    streaming: bool = False
    """Read rows as they come, and keep no copy in the cache of `datasets`."""
    rows: Count | None = None
    """Most rows of each split. Null for all."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Its own name for columns of ours, and for `id`. '' leaves a column out."""

    def __post_init__(self) -> None:
        check_ranges(self, "from-hf")


def cuts_from_hf(
    place: str, sounds: str | Path, settings: HuggingFaceSettings | None = None, *, bad: BadRows | None = None
) -> dict[str, CutSet]:
    """Cut sets by split of a data set of Hugging Face's.

    place: a repository (owner/name), or a folder of `save_to_disk`, of Parquet files, or as `datasets` loads others.
    sounds: the folder that takes sound of which the data set has the bytes, as they are. Other files stay in place.
    settings: what is read. None for all of it.
    bad: what becomes of rows that cannot be used. None for an error.
    Raises ConfigError without the package, ManifestError or AudioError that names the split and the row.
    """
    how, bad = settings or HuggingFaceSettings(), bad or BadRows()
    root = Path(place) if Path(place).is_dir() else Path()
    reading = TableReading(SoundFolder(Path(sounds)), how.columns, root, bad)
    rows = []
    for split, table in _loaded(place, how).items():
        some = table if how.rows is None else table.take(how.rows)
        rows += reading.rows(some, f"{place} {split}", split)
    return cuts_from_rows(rows, root, place, bad)


def load_datasets() -> Any:
    """The package. Raises ConfigError where it is not there."""
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            "Data sets of Hugging Face need the package datasets, which is not installed; run "
            "`pip install audiossl-toolkit[datasets]`."
        ) from error
    return datasets


def _loaded(place: str, how: HuggingFaceSettings) -> dict[str, Any]:
    """The tables of a data set by split."""
    datasets = load_datasets()
    on_disk = any((Path(place) / name).is_file() for name in _ON_DISK)
    try:
        if on_disk:
            found = datasets.load_from_disk(place)
        else:
            found = datasets.load_dataset(
                place, how.config or None, revision=how.revision or None, streaming=how.streaming
            )
    except Exception as error:  # the package has errors of its own for each format and for the network
        raise ManifestError(_why_not(place, error, how)) from error
    tables = dict(found) if isinstance(found, Mapping) else {str(found.split or "all"): found}
    if missing := [split for split in how.splits if split not in tables]:
        raise ManifestError(f"{place} has no split {missing[0]!r}; choose among {', '.join(tables)}.")
    return {split: table for split, table in tables.items() if not how.splits or split in how.splits}


def _why_not(place: str, error: Exception, how: HuggingFaceSettings) -> str:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ImportError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None and not how.streaming:  # datasets builds its own copy with torchcodec
        fix = "give --streaming, or for a folder take `audiossl data from-audiofolder`"
    else:
        fix = "see to the name of the repository or folder, --config, and the network"
    return f"{place} cannot be loaded by datasets ({first_line(error).rstrip('.')}); {fix}."
