"""What makes another entry and what makes another utterance: nothing stale is ever read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toys.core
from lhotse import CutSet
from toys.cache import assert_fresh, encoder, path_of, rewritten, source_in
from toys.core import RATE_HZ, ToyConfig, ToyUpstream, sound_of
from toys.shards import rows_in, shards_of

from audiossl.core.errors import ManifestError
from audiossl.core.tensors import fingerprint
from audiossl.features import identity
from audiossl.features.identity import Utterances, describe_entry, key_of, utterance_of


def test_every_setting_makes_an_entry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    base: dict[str, Any] = {"layers": [0, 1], "form": "frames", "dtype": "fp16", "precision": "fp32"}
    upstream = encoder()

    def key(upstream: Any = upstream, **changes: Any) -> str:
        return key_of(describe_entry(upstream, fingerprint(upstream), **{**base, **changes}))

    keys = [key(), key(layers=[1]), key(form="pooled"), key(dtype="bf16"), key(precision="bf16"), key(encoder(1))]
    other_rate = encoder()
    other_rate.sample_rate_hz = 8000
    keys.append(key(other_rate))
    wider = ToyUpstream(ToyConfig(num_layers=2))
    keys.append(key(wider))
    compiled = encoder()
    compiled.engine = "compile"  # type: ignore[assignment]
    keys.append(key(compiled))
    with monkeypatch.context() as patch:
        patch.setattr(identity, "FORMAT", identity.FORMAT + 1)
        keys.append(key())
    assert len(set(keys)) == len(keys)
    assert key() == key(encoder())


def test_another_version_of_the_code_makes_another_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = encoder()
    modules = identity.code_modules(upstream)
    assert {"toys.core", "audiossl.nn", "audiossl.data.reading", "audiossl.encoders.upstream"} <= set(modules)
    assert not [name for name in modules if name.split(".")[0] == "torch"]
    before = identity.code_version(modules)
    changed = tmp_path / "core.py"
    changed.write_text(Path(toys.core.__file__).read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    monkeypatch.setattr(toys.core, "__file__", str(changed))
    assert identity.code_version(modules) != before


def test_labels_and_ids_do_not_matter_but_the_part_of_the_recording_does(cuts: CutSet) -> None:
    cut = cuts[0]
    relabelled = cut.with_id("other").drop_supervisions()
    assert utterance_of(relabelled) == utterance_of(cut)
    others = [cut.truncate(duration=0.2), cut.truncate(offset=0.05), cuts[1], cut.perturb_speed(1.1)]
    others.append(cut.mix(cuts[1], snr=10))
    names = [utterance_of(other) for other in [cut, *others]]
    assert None not in names
    assert len(set(names)) == len(names)


def test_a_row_that_no_file_tells_all_about_is_never_kept(tmp_path: Path, cuts: CutSet) -> None:
    from lhotse.audio import AudioSource

    cut = cuts[0]
    source = AudioSource("command", [0], f"cat {path_of(cut)}")
    piped = cut.with_id("piped")
    piped.recording = type(cut.recording)(**{**vars(cut.recording), "sources": [source]})
    assert utterance_of(piped) is None
    kept = source_in(tmp_path / "kept")
    assert kept.extract([piped]) == 0
    with pytest.raises(ManifestError, match="Row piped has sound of the type 'command'"):
        kept.batch([piped])
    assert len(kept.store) == 0


def _touch(path: Path) -> None:
    path.touch()


def _replace(path: Path) -> None:
    rewritten(path)


def _replace_with_old_time(path: Path) -> None:
    """Same size and same time of modification, as a copy that preserves times gives."""
    before = path.stat()
    rewritten(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _move_another_over(path: Path) -> None:
    """Written before this file, and moved here."""
    before = path.stat()
    other = path.with_name("other.wav")
    shutil.copy(path, other)
    rewritten(other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize("change", [_touch, _replace, _replace_with_old_time, _move_another_over])
@pytest.mark.parametrize("clock_s", [0.0, -7200.0, 7200.0], ids=["", "clock moved back", "clock ahead"])
def test_a_changed_file_is_another_utterance(
    tmp_path: Path, cuts: CutSet, change: Callable[[Path], None], clock_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_in(tmp_path / "kept")
    assert source.extract(cuts) == 6
    source.store.close()
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + clock_s)
    change(path_of(cuts[2]))
    later = source_in(tmp_path / "kept")
    assert later.survey(cuts).missing_rows == 1
    assert_fresh(later, cuts)
    assert later.extract(cuts) == 0  # reading has kept it


def test_a_file_that_was_written_this_instant_is_looked_at_a_moment_later(
    tmp_path: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(cuts[0])
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime + 0.001)
    utterance_of(cuts[0])
    assert waited and 0.04 < waited[0] <= 0.05
    monkeypatch.setattr(time, "time", lambda: path.stat().st_ctime + 60)
    utterance_of(cuts[0])
    assert len(waited) == 1


def test_a_file_is_looked_at_once(cuts: CutSet, monkeypatch: pytest.MonkeyPatch) -> None:
    utterances = Utterances()
    first = utterances.of(cuts[0])
    monkeypatch.setattr(identity, "utterance_of", None)
    assert utterances.of(cuts[0].with_id("other")) == first


def test_the_toy_sounds_differ() -> None:
    assert not np.array_equal(sound_of("low", 1), sound_of("low", 2))
    assert RATE_HZ == 16000


def test_a_file_that_takes_the_place_of_another_is_another_utterance_at_equal_times(
    tmp_path: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that writes clean and noisy versions together gives both the same size and times."""
    path = path_of(cuts[0])
    other = path.with_name("noisy.wav")
    other.write_bytes(path.read_bytes())
    look = os.stat
    # The inode is real. Nothing else tells the two apart.
    alike = {"st_size": 1, "st_mtime": 1.0, "st_ctime": 1.0, "st_mtime_ns": 10**9, "st_ctime_ns": 10**9}
    monkeypatch.setattr(os, "stat", lambda file, **how: SimpleNamespace(st_ino=look(file, **how).st_ino, **alike))
    before = utterance_of(cuts[0])
    assert utterance_of(cuts[0]) == before
    os.replace(other, path)
    assert utterance_of(cuts[0]) != before


def test_a_link_that_points_elsewhere_now_is_another_place(tmp_path: Path, own_corpus: Path, row: Any) -> None:
    (tmp_path / "data").symlink_to(own_corpus.parent / "audio" / "train")
    (tmp_path / "same").symlink_to(own_corpus.parent / "audio" / "train")
    (tmp_path / "other").mkdir()
    file = min((own_corpus.parent / "audio" / "train").iterdir()).name
    os.link(tmp_path / "same" / file, tmp_path / "other" / file)  # the state of the file tells nothing either
    cut, same = (row("r", 8000, path=tmp_path / folder / file) for folder in ("data", "same"))
    before = utterance_of(cut)
    assert before is not None and utterance_of(same) == before
    (tmp_path / "data").unlink()
    (tmp_path / "data").symlink_to(tmp_path / "other")
    assert utterance_of(cut) != before


def test_a_member_of_a_shard_is_known_by_its_content_wherever_it_lies(own_corpus: Path, tmp_path: Path) -> None:
    folder = shards_of(own_corpus, tmp_path / "shards")
    before = [utterance_of(cut) for cut in rows_in(folder)]
    moved = Path(shutil.move(folder, tmp_path / "moved"))
    packed_otherwise = shards_of(moved, tmp_path / "again", rows=2, shuffle=3)
    assert [utterance_of(cut) for cut in rows_in(moved)] == before
    assert {utterance_of(cut) for cut in rows_in(packed_otherwise)} == set(before)
    assert len(set(before)) == len(before)
    assert utterance_of(rows_in(moved)[0].truncate(duration=0.1)) not in before
