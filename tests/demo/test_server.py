"""The page over HTTP: what is served, to whom, and what is refused in a sentence."""

from __future__ import annotations

import json
import resource
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.demo.server import DemoServer
from audiossl.demo.session import Demo

Ask = Callable[..., Any]


@pytest.fixture
def noise(corpus: Path) -> bytes:
    return (corpus.parent / "audio" / "test" / "noise_0.wav").read_bytes()


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("audiossl_demo_*"))


@pytest.mark.parametrize(("path", "kind"), [("/", "html"), ("/style.css", "css"), ("/page.js", "javascript")])
def test_what_is_served_runs_nothing_from_elsewhere(ask: Ask, path: str, kind: str) -> None:
    answer = ask(path)
    assert answer.status == 200
    assert kind in answer.headers["Content-Type"]
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_prediction_leaves_nothing_behind(ask: Ask, noise: bytes) -> None:
    before = folders()
    answer = ask("/predict", {"é <b>.wav": noise})
    assert answer.status == 200
    assert answer.json["name"] == "é <b>.wav"
    assert answer.json["columns"][0] == ["label", "noise"]
    near = ask(f"/nearest/{answer.json['token']}").json
    assert near["rows"][0]["says"]["label"] == "noise"
    sound = ask(f"/item/{near['rows'][0]['number']}")
    assert (sound.status, sound.headers["Content-Type"], sound.body[:4]) == (200, "audio/wav", b"RIFF")
    assert folders() <= before


@pytest.mark.parametrize(
    "path",
    ["/item/12", "/item/-1", "/item/../0", "/item//etc/passwd", "/item/%2e%2e",
     "/item/9999999999", "/page.html", "/../session.py", "/nothing", "/item", "/predict"],
)  # fmt: skip
def test_nothing_is_served_by_its_path(ask: Ask, path: str) -> None:
    answer = ask(path)
    assert answer.status == 404
    assert "There is no such" in answer.json["error"]


def test_a_token_that_nobody_was_given(ask: Ask) -> None:
    assert ask("/nearest/x").status == 422


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"])
def test_another_name_for_this_machine_is_refused(ask: Ask, host: str) -> None:
    answer = ask("/", Host=host)
    assert answer.status == 403
    assert "under no other name" in answer.json["error"]


def test_a_tunnel_may_have_another_port(ask: Ask) -> None:
    assert ask("/style.css", Host="localhost:9000", Origin="http://localhost:9000").status == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}]
)
def test_other_sites_cannot_ask(ask: Ask, noise: bytes, headers: dict[str, str]) -> None:
    for answer in (ask("/predict", {"a.wav": noise}, **headers), ask("/item/0", **headers)):
        assert (answer.status, answer.json) == (403, {"error": "Other sites cannot ask this page."})


def test_a_link_from_elsewhere_may_lead_to_the_page(ask: Ask) -> None:
    assert ask("/", Sec_Fetch_Site="cross-site").status == 200


def test_two_gigabytes_are_refused_before_they_are_read(ask: Ask) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask("/predict", {"big.wav": b""}, Content_Length=str(2 * 10**9), X_Sizes=str(2 * 10**9))
    assert answer.status == 413
    assert answer.json["error"].startswith("big.wav has 2,000 MB, and this page takes 1 MB; send a part of it")
    assert answer.headers["Connection"] == "close"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 50_000  # kB


def test_without_a_size_nothing_is_read(ask: Ask, noise: bytes) -> None:
    answer = ask("/predict", {"a.wav": noise}, Content_Length="many")
    assert answer.status == 411


def test_a_body_that_ends_early_is_a_sentence_and_leaves_nothing(served: DemoServer) -> None:
    before = folders()
    with socket.create_connection(served.server_address[:2], timeout=20) as connection:
        head = 'POST /predict HTTP/1.1\r\nHost: localhost\r\nX-Names: ["a.wav"]\r\nContent-Length: 1000\r\n\r\nRIFF'
        connection.sendall(head.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert (
        json.loads(answer.split(b"\r\n\r\n")[1])["error"] == "The upload of a.wav ended 996 bytes early; send it again."
    )
    time.sleep(0.05)
    assert folders() <= before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "talk.wav is empty (0 bytes); copy or download it again, or leave it out."),
        (
            b"This is text.\n" * 9,
            "talk.wav cannot be read as sound (Format not recognised); convert it to WAV or FLAC.",
        ),
    ],
)
def test_what_is_no_sound_is_one_sentence(ask: Ask, content: bytes, sentence: str) -> None:
    answer = ask("/predict", {"talk.wav": content})
    assert (answer.status, answer.json["error"]) == (422, sentence)


def test_one_connection_can_ask_again_after_an_error(ask: Ask, noise: bytes) -> None:
    assert ask("/predict", {"a.wav": b"no sound"}).status == 422
    assert ask("/predict", {"a.wav": noise}).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_not_known(ask: Ask, method: str) -> None:
    assert ask("/", method=method).status == 501


def test_what_fails_inside_is_said_without_details(
    ask: Ask, demo: Demo, noise: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "answer", lambda uploads: 1 / 0)
    answer = ask("/predict", {"a.wav": noise})
    assert (answer.status, answer.json) == (500, {"error": "Something failed inside; the terminal says what."})
    time.sleep(0.05)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_it_listens_to_this_machine_alone_and_says_when_a_port_is_taken(served: DemoServer, demo: Demo) -> None:
    assert served.server_address[0] == "127.0.0.1"
    port = served.server_address[1]
    assert served.url == f"http://127.0.0.1:{port}/"
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(ConfigError, match="cannot be had .* take --port 0"):
        DemoServer(demo, taken.getsockname()[1])
