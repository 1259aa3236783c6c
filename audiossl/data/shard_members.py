"""One recording inside a tar file: where it lies, and its content once it was checked.

A row of a manifest names a member as `<tar>#<offset>+<size>:<digest>:<member>`, where `<tar>` is a path or a URL. That
is all that is needed to read it: a tar is not searched, and no index is loaded. What is read must be what the row was
made from. The header before it has to name the member, and its content has to have the digest, so that a tar which was
replaced, cut off or damaged is an error and never other sound.

A manifest may be somebody else's. Of URLs, those alone are opened that begin as one in the environment variable
AUDIOSSL_SHARDS does.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

from audiossl.core.addresses import CREDENTIALS, is_refused
from audiossl.core.errors import AudioError, first_line
from audiossl.core.files import is_url
from audiossl.data.containers import HeldFile

BLOCK = tarfile.BLOCKSIZE  # a member's header, and what its content is filled up to
_PLACE = re.compile(r"(?P<tar>.+?\.tar)#(?P<offset>\d{1,15})\+(?P<size>\d{1,15}):(?P<digest>[0-9a-f]{32}):(?P<name>.+)")
_SHORT_NAME = 100  # bytes, of which a plain header has room
ADDRESSES = "AUDIOSSL_SHARDS"
_PAUSES_S = (0.5, 4.0)  # before a place that did not answer is asked again


class PlaceError(AudioError):
    """A tar is not where a row says, or does not answer. The recordings in it may be whole."""


class ShardMember(NamedTuple):
    """A file in a tar.

    tar: its path or URL.
    offset: of the content in the tar, in bytes.
    size: of the content.
    digest: blake2b of the content, 128 bits in hexadecimal.
    name: of the member.
    """

    tar: str
    offset: int
    size: int
    digest: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What `str` of a member gave. None for the path of a file of its own.

        >>> ShardMember.parse("x/000.tar#512+9:00112233445566778899aabbccddeeff:a.flac").name
        'a.flac'
        """
        found = _PLACE.fullmatch(text) if "#" in text else None
        if found is None:
            return None
        return cls(found["tar"], int(found["offset"]), int(found["size"]), found["digest"], found["name"])

    def __str__(self) -> str:
        return f"{self.tar}#{self.offset}+{self.size}:{self.digest}:{self.name}"

    def read(self) -> HeldFile:
        """The member's content. Raises AudioError for a tar that is cut off, another one or damaged, PlaceError
        for one that is not there.
        """
        return _read(self)

    def checked(self, header: bytes, content: bytes) -> bytes:
        """The content, if header and content are the member's. Raises AudioError."""
        if len(header) < BLOCK or (self._is_named_by(header) and len(content) < self.size):
            raise AudioError(
                f"{self.tar} is truncated: {self.name} should end at byte {self.offset + self.size}, which is not "
                f"there; copy or download the tar again."
            )
        if not self._is_named_by(header):
            raise AudioError(
                f"{self.tar} has no {self.name} of {self.size} bytes at byte {self.offset}: its manifest is of another "
                f"tar; make it again with `audiossl data from-shards`."
            )
        if digest_of(content) != self.digest:
            raise AudioError(
                f"{self.name} in {self.tar} is damaged: its content is not what was written; copy or download the tar "
                f"again, or leave the recording out, in training by data.skip_bad=true."
            )
        return content

    def _is_named_by(self, header: bytes) -> bool:
        try:
            found = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return False
        # The rest of a long name stands in a header before this one.
        long = len(self.name.encode()) >= _SHORT_NAME and self.name.startswith(found.name)
        return found.size == self.size and (found.name == self.name or long)


def digest_of(content: bytes) -> str:
    """By which a member's content is known, wherever it lies."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def anchored(text: str, folder: str) -> str:
    """The place of a row's sound, where a tar without a folder lies in that of the row's manifest.

    text: what the row says.
    folder: of the manifest, a path or a URL.
    """
    member = ShardMember.parse(text)
    if member is None or is_url(member.tar) or Path(member.tar).is_absolute():
        return text
    return str(member._replace(tar=f"{folder.rstrip('/')}/{member.tar}"))


def parts_of(place: str, start: int, count: int) -> bytes:
    """Bytes of a file, fewer where it ends before.

    place: its path or URL.
    start: the first byte.
    count: how many.
    Raises PlaceError for one that is missing or does not answer.
    """
    if is_url(place):
        return _fetched(place, start, count)
    try:
        with open(place, "rb") as file:
            file.seek(start)
            return file.read(count)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(place) from error
    except (OSError, ValueError) as error:
        raise PlaceError(f"{place} cannot be read ({first_line(error)}); mend that, or copy it again.") from error


def check_allowed(url: str) -> None:
    """Raise PlaceError for an address that the user of this machine has not allowed."""
    allowed = os.environ.get(ADDRESSES, "").split()
    if ".." in url.split("/") or not any(url.startswith(f"{each.rstrip('/')}/") for each in allowed):
        raise PlaceError(
            f"{url} is an address in a manifest, of which none is opened that is not allowed; set {ADDRESSES}="
            f"{url.rpartition('/')[0]} in the environment, or copy the shards to a folder."
        )


@lru_cache(maxsize=1)  # a recording is often opened twice on end: its facts, then its sound
def _read(member: ShardMember) -> HeldFile:
    found = parts_of(member.tar, member.offset - BLOCK, BLOCK + member.size) if member.offset >= BLOCK else bytes(BLOCK)
    return HeldFile(f"{member.name} in {member.tar}", member.checked(found[:BLOCK], found[BLOCK:]))


def _fetched(url: str, start: int, count: int) -> bytes:
    import fsspec

    check_allowed(url)
    for pause_s in (*_PAUSES_S, None):
        try:
            # Kept by fsspec, in each process of its own: a loader's workers may not share connections.
            system, path = fsspec.core.url_to_fs(url)
            found: bytes = system.cat_file(path, start=start, end=start + count)
        except FileNotFoundError as error:
            raise _missing(url) from error
        except ImportError as error:
            raise PlaceError(
                f"{url} needs a package that is not installed ({first_line(error)}); install it, or copy the shards to "
                f"a folder."
            ) from error
        except Exception as error:  # each of the packages behind fsspec has errors of its own
            if is_refused(error):
                raise PlaceError(f"{url} cannot be read ({first_line(error)}); {CREDENTIALS}.") from error
            if pause_s is None:
                raise PlaceError(
                    f"{url} does not answer ({first_line(error)}); see whether it can be reached, and go on."
                ) from error
            time.sleep(pause_s)
        else:
            if len(found) > count:
                raise PlaceError(f"{url} is only given whole, not in parts; put simplecache:: before it.")
            return found
    raise AssertionError  # the last try returns or raises


def _missing(place: str) -> PlaceError:
    return PlaceError(
        f"{place} is missing; put it back, or make manifests of the shards where they are now with `audiossl data "
        f"from-shards`."
    )
