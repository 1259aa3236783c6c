"""`audiossl describe` and `audiossl doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from audiossl.cli.inspect import describe_name
from audiossl.core.registry import REGISTRIES, Registry

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


@pytest.mark.slow
@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_name_is_described_without_an_option(registry: Registry) -> None:
    for name in registry.names():
        assert describe_name(f"{registry.kind}:{name}")["name"] == name


def test_an_encoder_that_needs_an_option_is_described_with_it(audiossl: Cli) -> None:
    facts = json.loads(audiossl("describe", "text", "--json").out)
    assert "upstream_options.model" in facts["layers"] and facts["settings"]
    wrong = audiossl("describe", "column", "-o", "width=0")
    assert wrong.code == 2 and "width" in wrong.err
