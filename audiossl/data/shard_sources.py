"""Cut sets of shards that are there, in a folder or behind a URL: our own, WebDataset's and lhotse Shar.

Our own folders have manifests, of which only the places change. A tar without them is read once from its beginning to
its end: a sample is what has one name before its first dot, a sound file and whatever is known of it in `.json`, `.txt`
(the transcript) and `.cls` (the label).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from audiossl.core.errors import AudioError, ManifestError, first_line
from audiossl.core.files import is_url
from audiossl.core.terminal import progress
from audiossl.data.fields import OTHER_NAMES
from audiossl.data.folders import readable_suffixes
from audiossl.data.local import only_files
from audiossl.data.manifests import read_manifest
from audiossl.data.row_store import RowStore
from audiossl.data.row_types import wrong_part
from audiossl.data.shar import is_shar, shar_rows
from audiossl.data.shard_rows import as_member
from audiossl.data.shards import INDEX
from audiossl.data.sources import split_name
from audiossl.data.tar_files import CheckedSound, TarFile, checked_sound, files_at, files_in, open_place

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_HELD = 20000  # rows that are kept as they are
_MANIFEST = ".jsonl.gz"
_NUMBER = re.compile(r"[-_.]?\d+$")
# The fields of a supervision, by the columns of a table.
_TEXTS = {"transcript": "text", "speaker": "speaker", "language": "language"}


class ShardRows(NamedTuple):
    """What shards hold.

    splits: their rows.
    left_out: why each sample without a row has none, by its id.
    """

    splits: dict[str, CutSet]
    left_out: dict[str, str]


def cuts_from_shards(places: Sequence[str], *, skip_bad: bool = False) -> ShardRows:
    """The rows of shards by split: of our own as their manifests say, of others by the name of the tar.

    A tar `train-000012.tar` is of the split train. Ids are `<tar>/<key>` where no row of ours is in the JSON.

    places: folders, tars, and URLs of both.
    skip_bad: leave out samples whose sound cannot be read.
    Raises ManifestError for what are no shards, for an id that is there twice and, like AudioError, for a bad sample.
    """
    from lhotse import CutSet

    rows: dict[str, RowStore] = defaultdict(lambda: RowStore(_HELD))
    seen: dict[str, set[str]] = defaultdict(set)
    left_out: dict[str, str] = {}
    for place in places:
        for split, cut in _rows_at(place, left_out if skip_bad else None):
            if cut.id in seen[split]:
                raise ManifestError(f"{place}: the id {cut.id} is in {split} already; leave one of the shards out.")
            seen[split].add(cut.id)
            rows[split].add(cut)
    if not rows:
        raise ManifestError(f"{', '.join(places)}: no sample there has sound that can be read; see to the shards.")
    return ShardRows({split: CutSet(held_rows) for split, held_rows in rows.items()}, left_out)


def _rows_at(place: str, left_out: dict[str, str] | None) -> Iterator[tuple[str, Cut]]:
    """Split and row of all that is in a place. left_out: takes what cannot be read. None for an error."""
    names = {PurePosixPath(file).name: file for file in files_at(place)}
    if INDEX in names:
        for name in sorted(name for name in names if name.endswith(_MANIFEST)):
            yield from ((name.removesuffix(_MANIFEST), cut) for cut in _own_rows(place, names[name]))
        return
    if is_shar(names):
        split = split_name(PurePosixPath(place).name)
        split = split if split in ("train", "dev", "test") else "all"
        yield from ((split, cut) for cut in shar_rows(names, left_out))
        return
    tars = [file for name, file in sorted(names.items()) if name.endswith(".tar")]
    if not tars:
        packed = next((file for name, file in names.items() if ".tar." in name or name.endswith(".tgz")), None)
        if packed:
            raise ManifestError(f"{packed} is compressed, so that nothing in it can be found; unpack it to a .tar.")
        raise ManifestError(f"{place} has no tar; name a folder or URL of shards, or the tars themselves.")
    for tar in progress(tars, "Reading shards"):
        split = split_name(_NUMBER.sub("", PurePosixPath(tar).stem)) or "all"
        for key, members in groupby(files_in(tar), key=_key_of):
            files = {_extension(file): file for file in members}
            try:
                cut = _cut_of(tar, key, files)
            except (AudioError, ManifestError) as error:
                if left_out is None:
                    raise
                left_out[f"{PurePosixPath(tar).stem}/{key}"] = str(error)
            else:
                yield split, cut


def _own_rows(place: str, manifest: str) -> Iterator[Cut]:
    if not is_url(manifest):
        yield from read_manifest(manifest)
        return
    with open_place(manifest) as file:
        content = file.read()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"rows{_MANIFEST}"
        copy.write_bytes(content)
        yield from read_manifest(copy, shards_at=place)


def _cut_of(tar: str, key: str, files: Mapping[str, TarFile]) -> Cut:
    """The row of one sample. files: by extension."""
    suffixes = readable_suffixes()
    sounds = [extension for extension in files if f".{extension.rpartition('.')[2]}" in suffixes]
    if len(sounds) != 1:
        raise ManifestError(
            f"{tar} has {len(sounds)} sound files of the sample {key} ({', '.join(files)}), and one is needed; write "
            f"the shards again, or leave such samples out."
        )
    sound = checked_sound(files[sounds[0]])
    told = _told(tar, key, files)
    if "recording" in told and "supervisions" in told:
        return as_member(_row_of(tar, key, told), sound.place, sound.num_samples, sound.num_channels)
    return _new_cut(f"{PurePosixPath(tar).stem}/{key}", sound, told)


def _key_of(file: TarFile) -> str:
    """What the files of one sample have in common: all before the first dot of the name."""
    path = PurePosixPath(file.name)
    return str(path.with_name(path.name.partition(".")[0] or path.name))


def _extension(file: TarFile) -> str:
    return PurePosixPath(file.name).name.partition(".")[2].lower()


def _told(tar: str, key: str, files: Mapping[str, TarFile]) -> dict[str, Any]:
    """What the files beside the sound say of it."""
    told: dict[str, Any] = {}
    for extension, file in files.items():
        kind = extension.rpartition(".")[2]
        if kind not in ("json", "txt", "cls"):
            continue
        try:
            text = file.content.decode("utf-8")
            found = json.loads(text, object_hook=only_files) if kind == "json" else text.strip()
        except ValueError as error:
            raise ManifestError(
                f"{tar} has a {extension} of the sample {key} that cannot be read ({first_line(error)}); write it anew."
            ) from error
        if kind == "json":
            told |= found if isinstance(found, dict) else {}
        else:
            told["text" if kind == "txt" else "label"] = found
    return told


def _row_of(tar: str, key: str, told: dict[str, Any]) -> Cut:
    """A row that was written as JSON beside its sound."""
    from lhotse.serialization import deserialize_item

    try:
        row: Any = deserialize_item(told)
    except Exception as error:  # lhotse has any, depending on what is in the row
        raise ManifestError(
            f"{tar}: the JSON of the sample {key} is no row ({first_line(error)}); write it anew."
        ) from error
    if wrong := wrong_part(row):
        raise ManifestError(f"{tar}: the JSON of the sample {key} {wrong}; write it again.")
    return row  # type: ignore[no-any-return]


def _new_cut(name: str, sound: CheckedSound, told: Mapping[str, Any]) -> Cut:
    from lhotse import MonoCut, Recording, SupervisionSegment
    from lhotse.audio import AudioSource

    rate, num_samples = sound.sample_rate_hz, sound.num_samples
    lasts_s = num_samples / rate
    names = {ours: OTHER_NAMES[column] for column, ours in _TEXTS.items()}
    known = {ours: next((told[each] for each in theirs if told.get(each)), None) for ours, theirs in names.items()}
    used = {each for theirs in names.values() for each in theirs}
    custom = {field: str(value) for field, value in told.items() if field not in used and _is_plain(value)}
    texts = {field: str(value) for field, value in known.items() if value is not None}
    recording = Recording(name, [AudioSource("file", [0], sound.place)], rate, num_samples, lasts_s)
    segment = SupervisionSegment(name, name, 0.0, lasts_s, channel=0, custom=custom or None, **texts)
    return MonoCut(name, 0.0, lasts_s, 0, supervisions=[segment], recording=recording)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""
