"""The page in a browser: files chosen, a recording made, errors shown, at two widths and in both colour schemes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from toys.browser import CHROMIUM, Page, browser

from audiossl.demo.server import DemoServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]
DONE = "document.querySelector('#nearest table') && !document.querySelector('#nearest table').hidden"
FAILED = "!document.getElementById('error').hidden"


@pytest.fixture(scope="module")
def page(served: DemoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        opened.open(served.url)
        yield opened
        # The policy of the page would have complained of anything from elsewhere, or of a script in a name.
        assert [line for line in opened.logged if not re.search("status of 4", line)] == []


def text_of(page: Page, selector: str) -> str:
    return str(page.value(f"document.querySelector({selector!r}).innerText"))


def test_a_real_recording_is_predicted_and_shown(page: Page, served: DemoServer, corpus: Path) -> None:
    path = corpus.parent / "audio" / "test" / "noise_0.wav"
    if "AUDIOSSL_DATA" in os.environ:
        path = sorted((Path(os.environ["AUDIOSSL_DATA"]) / "wakewords" / "audio" / "alexa").iterdir())[0]
    for width, dark in ((1280, False), (390, True)):
        page.open(served.url, width, dark)
        page.choose("input", path)
        page.wait(DONE)
        assert page.value("document.documentElement.scrollWidth") <= width
        assert "label" in text_of(page, "#columns")
        assert text_of(page, "#status").startswith("Predicted: label ")
        assert path.name in text_of(page, ".chosen")
        assert page.value("document.querySelectorAll('#scores tbody tr').length") == 3
        assert page.value("document.querySelector('#wave polygon').points.numberOfItems") > 100
        assert page.value("document.querySelectorAll('#nearest audio').length") == 5
        assert page.value("document.getElementById('wave').getAttribute('aria-label')").startswith("Waveform of ")
    lines = page.value("document.querySelectorAll('#wave .line').length")
    assert lines == len(re.findall("<li>", page.value("document.getElementById('legend').innerHTML")))


def test_a_training_item_can_be_played(page: Page) -> None:
    played = "(async () => { const a = document.querySelector('#nearest audio'); a.muted = true; await a.play(); "
    assert page.value(f"{played} return a.duration; }})()") > 0.2


def test_a_hostile_name_is_text(page: Page, served: DemoServer, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>\u202e'\"é.wav"
    shutil.copy(corpus.parent / "audio" / "test" / "low_0.wav", path)
    page.open(served.url)
    page.choose("input", path)
    page.wait(DONE)
    assert "<img src=x onerror=alert(1)>" in text_of(page, ".chosen")
    assert page.value("document.images.length") == 0


@pytest.mark.parametrize(
    ("name", "size", "sentence"),
    [
        ("big.wav", 2 * 10**9, "big.wav has 2000 MB, and this page takes 1 MB; send a part"),
        ("empty.wav", 0, "empty.wav is empty (0 bytes); copy or download it again"),
        ("text.wav", 99, "text.wav cannot be read as sound (Format not recognised); convert it to WAV or FLAC."),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence(
    page: Page, tmp_path: Path, name: str, size: int, sentence: str
) -> None:
    path = tmp_path / name
    with open(path, "wb") as file:
        file.write(b"text " * 20 if size == 99 else b"")
        file.truncate(size)  # a hole, where it is large
    page.choose("input", path)
    page.wait(FAILED)
    page.wait(f"document.getElementById('error').innerText.includes({name!r})")
    assert sentence in text_of(page, "#error")
    assert page.value("document.getElementById('result').hidden")
    assert page.value("document.getElementById('error').getAttribute('role')") == "alert"


def test_the_microphone_is_recorded_as_wav(page: Page, served: DemoServer) -> None:
    page.open(served.url)
    page.value("document.querySelector('.record').click()")
    page.wait("document.querySelector('.record').innerText.startsWith('Stop (1')")
    page.value("document.querySelector('.record').click()")
    page.wait(DONE)
    found = re.search(r"recorded .*\.wav, (\d+\.\d\d) s", text_of(page, ".chosen"))
    assert found and float(found[1]) > 0.5  # of a page that had to wait, it has less than the clock


def test_everything_can_be_reached_by_keys_and_has_a_name(page: Page) -> None:
    unnamed = (
        "[...document.querySelectorAll('input, button, audio, svg:not([aria-hidden])')]"
        ".filter((e) => !e.getAttribute('aria-label') && !e.innerText).length"
    )
    assert page.value(unnamed) == 0
    assert page.value("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0
    assert page.value("document.querySelectorAll('[aria-live=polite]').length") == 2
