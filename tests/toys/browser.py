"""A headless Chromium that is spoken to through two pipes (the DevTools protocol), for tests of pages."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a microphone that beeps
]


class Page:
    """One open page. What is asked of it comes back as plain data."""

    def __init__(self, reading: int, writing: int) -> None:
        self._read, self._write = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")
        self._numbers, self._session = itertools.count(1), ""
        self.logged: list[str] = []  # what the browser complained of
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str, width: int = 1280, dark: bool = False) -> None:
        """Go to an address, in a window of some pixels, and wait until its script has run."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")

    def value(self, expression: str) -> Any:
        """The value of an expression of JavaScript, as if the user had asked for it."""
        how = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        made = self.send("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in made, made
        return made["result"].get("value")

    def wait(self, expression: str, most_s: float = 30.0) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + most_s
        while not self.value(expression):
            assert time.monotonic() < end, (expression, self.value("document.body.innerText"), self.logged)
            time.sleep(0.05)

    def choose(self, selector: str, *paths: Path) -> None:
        """Choose files in an input, as a user does in a dialog."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._session = ""
        self.send("Browser.close")
        self._read.close()
        self._write.close()

    def _next(self) -> dict[str, Any]:
        whole = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "Chromium has ended."
            whole += byte
        answer: dict[str, Any] = json.loads(whole)
        if answer.get("method") == "Log.entryAdded":
            self.logged.append(answer["params"]["entry"]["text"])
        elif answer.get("method") == "Runtime.exceptionThrown":
            self.logged.append(json.dumps(answer["params"]))
        return answer


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser with one page. folder: for its profile."""
    assert CHROMIUM is not None
    to_browser, writing = os.pipe()
    reading, from_browser = os.pipe()
    # It reads from descriptor 3 and writes to 4, which a shell can say and Python cannot.
    command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", command, CHROMIUM, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        page = Page(reading, writing)
        yield page
        page.close()
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
