"""The hash of code: what it means counts, and how it is written does not."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from audiossl.experiments.identity import code
from audiossl.experiments.identity.code import code_of, code_versions

HEAD = '''"""A head."""

from own_head import parts


def loss(x: float) -> float:
    """What is lost."""
    return parts.factor() * x  # a comment
'''
PARTS = "def factor() -> float:\n    return 2.0\n"


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes modules of a package, and gives the hash of its head."""
    folder = tmp_path / "own_head"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    (folder / "__init__.py").touch()
    known = {name: getattr(code, name) for name in ("_hash_of", "state_of_package", "_meaning", "_file_of")}

    def hashed(head: str = HEAD, parts: str = PARTS) -> str:
        (folder / "head.py").write_text(head)
        (folder / "parts.py").write_text(parts)
        for name, function in known.items():  # as in another process, but for what others have read
            monkeypatch.setattr(code, name, cache(function.__wrapped__))
        return code_of("own_head.head:Head")

    yield hashed
    for name in [name for name in sys.modules if name.startswith("own_head")]:
        del sys.modules[name]


def test_comments_docstrings_and_layout_do_not_count(head: Any) -> None:
    before = head()
    assert head(HEAD.replace("What is lost.", "The loss, and why.")) == before
    assert head(HEAD.replace("  # a comment", "")) == before
    assert head(HEAD.replace("parts.factor() * x", "(\n        parts.factor() * x\n    )")) == before
    assert head(HEAD.replace('"""A head."""\n', "")) == before


def test_what_a_head_does_and_what_it_imports_counts(head: Any) -> None:
    before = head()
    assert head(HEAD.replace("* x", "+ x")) != before
    assert head(parts=PARTS.replace("2.0", "3.0")) != before
    assert head() == before


def test_a_hash_is_kept_for_the_next_process(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = head()
    code._hash_of.cache_clear()
    monkeypatch.setattr(code, "_computed_hash", lambda roots: pytest.fail("it was computed again"))
    assert code_of("own_head.head:Head") == before


def test_parts_of_an_experiment_have_hashes_of_their_own() -> None:
    versions = code_versions("utterance_classification", ["weighted_sum", "layer", "layer"])
    names = ["loop", "downstream utterance_classification", "interface layer", "interface weighted_sum"]
    assert list(versions) == names
    assert len(set(versions.values())) == 4
    other = code_versions("emotion", ["layer"])
    assert other["loop"] == versions["loop"]
    assert other["interface layer"] == versions["interface layer"]


def test_tables_terminals_and_executors_do_not_count() -> None:
    reached = code._reached(("audiossl.downstreams.utterance_classification.task", "audiossl.experiments.start"))
    assert "audiossl.experiments.start" in reached
    assert "audiossl.nn.pooling" in reached
    assert "audiossl.training.downstream" in reached
    outside = ("audiossl.core.", "audiossl.report", "audiossl.cli", "audiossl.experiments.suites")
    assert [name for name in reached if name.startswith(outside)] == []
    assert [name for name in reached if not name.startswith("audiossl")] == []
