"""What a browser sends: as many bytes as it said and as are allowed, and files that are gone afterwards."""

from __future__ import annotations

import io
import json
from http import HTTPStatus
from urllib.parse import quote

import pytest

from audiossl.demo.uploads import Announcement, RequestError, announced, received


def headers(names: object, sizes: str | None = None, length: str = "3") -> dict[str, str]:
    made = {"X-Names": quote(json.dumps(names)), "Content-Length": length}
    return made if sizes is None else {**made, "X-Sizes": sizes}


def test_names_and_sizes_of_two_recordings() -> None:
    assert announced(headers(["a.wav", "b.wav"], "1,2"), 2, 2) == Announcement(["a.wav", "b.wav"], [1, 2])
    assert announced(headers(["a.wav"]), 3, 1) == Announcement(["a.wav"], [3])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\sound\\a.wav", "a.wav"),
        ("<img src=x onerror=alert(1)>.wav", "<img src=x onerror=alert(1)>.wav"),
        ("a\0b\x1b[31m\u202ec.wav", "a\\x00b\\x1b[31m\\u202ec.wav"),
        ("\ud800.wav", "?.wav"),
        ("żółć 声.wav", "żółć 声.wav"),
        ("", "the recording"),
        ("/", "the recording"),
    ],
)
def test_a_name_is_text_to_be_shown_and_no_path(name: str, shown: str) -> None:
    assert announced(headers([name]), 3, 1).names == [shown]


def test_a_long_name_is_cut() -> None:
    (name,) = announced(headers(["a" * 5000]), 3, 1).names
    assert len(name) == 120
    assert name.endswith("...")


@pytest.mark.parametrize(
    ("given", "status", "sentence"),
    [
        (headers(["a.wav"], length=""), HTTPStatus.LENGTH_REQUIRED, "does not say its size"),
        (headers(["a.wav"], length="-1"), HTTPStatus.LENGTH_REQUIRED, "does not say its size"),
        (headers(["a.wav"], length="9" * 5000), HTTPStatus.LENGTH_REQUIRED, "does not say its size"),
        ({**headers(["a.wav"]), "Transfer-Encoding": "chunked"}, HTTPStatus.LENGTH_REQUIRED, "does not say its size"),
        ({"X-Names": "[" * 60_000, "Content-Length": "3"}, HTTPStatus.BAD_REQUEST, "does not say its names"),
        (headers(["a.wav"], "2,2", "3"), HTTPStatus.BAD_REQUEST, "do not agree"),
        (headers(["a.wav"], "x"), HTTPStatus.BAD_REQUEST, "do not agree"),
        (headers(["a.wav", "b.wav"], "1,2"), HTTPStatus.BAD_REQUEST, "at most 1 recording"),
        (headers("a.wav"), HTTPStatus.BAD_REQUEST, "does not say its names"),
        ({"X-Names": "%ff", "Content-Length": "3"}, HTTPStatus.BAD_REQUEST, "does not say its names"),
        ({"Content-Length": "3"}, HTTPStatus.BAD_REQUEST, "does not say its names"),
        (headers(["a.wav"], length=str(2 * 10**9)), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a.wav has 2,000 MB, and"),
    ],
)
def test_what_is_not_taken_is_refused_in_a_sentence(given: dict[str, str], status: HTTPStatus, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as refused:
        announced(given, 10**6, 1)
    assert refused.value.status == status


def test_files_have_names_of_ours_and_are_gone_afterwards() -> None:
    with received(io.BytesIO(b"abcde-and-more"), Announcement(["x/../a", "b"], [2, 3])) as uploads:
        assert [upload.path.read_bytes() for upload in uploads] == [b"ab", b"cde"]
        assert [upload.path.name for upload in uploads] == ["recording1", "recording2"]
        folder = uploads[0].path.parent
    assert not folder.exists()


def test_files_are_gone_after_an_error() -> None:
    folders = []

    def fail() -> None:
        with received(io.BytesIO(b"ab"), Announcement(["a"], [2])) as uploads:
            folders.append(uploads[0].path.parent)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not folders[0].exists()


def test_no_more_is_read_than_was_announced_and_less_is_an_error() -> None:
    body = io.BytesIO(b"abcdef")
    with received(body, Announcement(["a"], [4])):
        assert body.read() == b"ef"
    with (
        pytest.raises(RequestError, match="a ended 3 bytes early"),
        received(io.BytesIO(b"ab"), Announcement(["a"], [5])),
    ):
        pass
