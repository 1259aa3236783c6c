"""`audiossl describe` and `audiossl doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

Cli = Callable[..., Any]


def test_doctor(audiossl: Cli) -> None:
    findings = {finding["check"]: finding for finding in json.loads(audiossl("doctor", "--json").out)}
    assert findings["torch"]["status"] == "ok"
    assert {"python", "devices", "cache folder", "hub cache", "sound formats"} <= set(findings)
    assert "torch" in audiossl("doctor").out


def test_doctor_survives_a_probe_that_fails(audiossl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    done = audiossl("doctor", "--json")
    wrong = [finding["check"] for finding in json.loads(done.out) if finding["status"] == "wrong"]
    assert wrong == ["soundfile", "sound formats"]
    assert done.code == 1
