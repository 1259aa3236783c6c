"""Tars in a folder or behind a URL, read once from the beginning to the end."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from audiossl.core.addresses import CREDENTIALS, is_refused
from audiossl.core.errors import AudiosslError, ManifestError, first_line
from audiossl.core.files import is_url
from audiossl.data.containers import HeldFile
from audiossl.data.shard_members import BLOCK, ShardMember, digest_of
from audiossl.data.sound_file import held


class TarFile(NamedTuple):
    """One file in a tar.

    tar: its path or URL.
    name: of the file.
    offset: of the content, in bytes.
    content: of the file.
    """

    tar: str
    name: str
    offset: int
    content: bytes


class CheckedSound(NamedTuple):
    """Sound in a tar that was read once.

    place: as a row of a manifest names it.
    num_samples, sample_rate_hz, num_channels: that it has.
    """

    place: str
    num_samples: int
    sample_rate_hz: int
    num_channels: int


def files_at(place: str) -> list[str]:
    """The files of a folder, or the one that is named, with their paths or URLs. Raises ManifestError."""
    if not is_url(place):
        path = Path(place).absolute()
        if not path.exists():
            raise _missing(place)
        return sorted(str(file) for file in path.iterdir() if file.is_file()) if path.is_dir() else [str(path)]
    import fsspec

    if place.endswith(".tar"):
        return [place]
    try:
        system, root = fsspec.core.url_to_fs(place)
        names = system.ls(root, detail=False)
    except FileNotFoundError as error:
        raise _missing(place) from error
    except Exception as error:  # each of the packages behind fsspec has errors of its own
        fix = CREDENTIALS if is_refused(error) else "name its tars one by one"
        raise ManifestError(f"{place} cannot be listed ({first_line(error)}); {fix}.") from error
    return [f"{place.rstrip('/')}/{PurePosixPath(str(name)).name}" for name in sorted(names)]


def _missing(place: str) -> ManifestError:
    return ManifestError(f"There is no {place}; name a folder or URL of shards, or the tars themselves.")


@contextmanager
def open_place(place: str) -> Iterator[IO[bytes]]:
    """A file to read, by its path or URL. What is done with it must be reading alone.

    Raises ManifestError for one that cannot be opened or, behind a URL, read to where it is asked for.
    """
    import fsspec

    try:
        if is_url(place):
            system, path = fsspec.core.url_to_fs(place)
            with system.open(path, "rb") as file:
                yield file
        else:
            with open(place, "rb") as file:
                yield file
    except AudiosslError:
        raise
    except FileNotFoundError as error:
        raise _missing(place) from error
    except Exception as error:  # each of the packages behind fsspec has errors of its own
        fix = CREDENTIALS if is_refused(error) else "see whether it can be reached, and try again"
        raise ManifestError(f"{place} cannot be read ({first_line(error)}); {fix}.") from error


def files_in(tar: str) -> Iterator[TarFile]:
    """The files in a tar, one after another. Raises ManifestError for one that is not whole."""
    with open_place(tar) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for info in archive:
                    if info.isfile():
                        stream: Any = archive.extractfile(info)
                        yield TarFile(tar, info.name, info.offset_data, stream.read())
                # tarfile takes whatever it does not understand for the end.
                file.seek(archive.offset)
                ends = file.read(BLOCK) == bytes(BLOCK)
        except tarfile.TarError as error:
            raise ManifestError(f"{tar} is no whole tar ({first_line(error)}); copy or download it again.") from error
        if not ends:
            raise ManifestError(f"{tar} is truncated or damaged at byte {archive.offset}; copy or download it again.")


def checked_sound(file: TarFile) -> CheckedSound:
    """A sound file in a tar, all of which is read. Raises AudioError for what is none."""
    place = ShardMember(file.tar, file.offset, len(file.content), digest_of(file.content), file.name)
    with held(HeldFile(f"{file.name} in {file.tar}", file.content)) as sound:
        sound.part(0, sound.num_samples)  # which says what is wrong with it
        return CheckedSound(str(place), sound.num_samples, sound.sample_rate_hz, sound.num_channels)
