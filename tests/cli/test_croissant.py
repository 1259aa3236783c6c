"""`audiossl data croissant`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toys.core import ROOT

Cli = Callable[..., Any]


def test_it_says_what_it_wrote_and_what_nobody_said(audiossl: Cli, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "croissant.json"
    refused = audiossl("data", "croissant", corpus, "--out", out)
    assert (refused.code, out.exists()) == (2, False)
    assert "give it with --licence" in refused.err
    done = audiossl("data", "croissant", corpus, "--licence", "CC0-1.0", "--url", "https://example.org", "--out", out)
    assert done.code == 0
    assert done.err == "Croissant asks for creator, datePublished too, which nobody has said.\n"
    assert "Rows: dev 9, test 12, train 18.\nFields: id, audio," in done.out
    assert json.loads(out.read_text(encoding="utf-8"))["license"] == "CC0-1.0"


def test_a_licence_that_rows_deny_is_named(audiossl: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        f"path,licence\n{ROOT}/recipes/quickstart/corpus/audio/en-us_m1/zero_0.ogg,CC0-1.0\n"
    )
    assert audiossl("data", "from-csv", tmp_path / "a.csv", tmp_path).code == 0
    assert "licence" not in audiossl("data", "croissant", tmp_path).err
    told = audiossl("data", "croissant", tmp_path, "--licence", "MIT").err
    assert "The rows say CC0-1.0 of their licence, the file MIT, as it was told." in told
