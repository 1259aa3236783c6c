"""What is in the cache: found, verified and removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet
from toys.cache import assert_fresh, encoder, path_of, rewritten, source_in

from audiossl.features import identity
from audiossl.features.manage import entries_in, verify_sound


def test_changed_weights_under_the_same_name(tmp_path: Path, cuts: CutSet) -> None:
    for seed in (0, 1):
        source = source_in(tmp_path / "kept", upstream=encoder(seed))
        assert source.extract(cuts) == 6
        assert_fresh(source, cuts)
        source.store.close()
    assert [entry.upstream for entry in entries_in(tmp_path / "kept")] == ["toy", "toy"]


def test_the_sound_itself_can_be_compared(tmp_path: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_in(tmp_path / "kept")
    source.extract(cuts)
    source.store.close()
    (entry,) = entries_in(tmp_path / "kept")
    assert not list(verify_sound(entry, cuts))
    # As on a file system that keeps no time of change.
    monkeypatch.setattr(identity, "_state", lambda file: [file])
    other = source_in(tmp_path / "other")
    other.extract(cuts)
    other.store.close()
    rewritten(path_of(cuts[1]))
    (entry,) = entries_in(tmp_path / "other")
    (problem,) = verify_sound(entry, cuts)
    assert cuts[1].id in problem
