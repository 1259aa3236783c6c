"""What makes another entry and what makes another utterance: nothing stale is ever read."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import toys.core
from lhotse import CutSet
from toys.core import RATE_HZ, ToyConfig, ToyUpstream, sound_of

from audiossl.core.tensors import fingerprint
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.features import identity
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.identity import Rows, describe, key_of, utterance_of
from audiossl.features.manage import kept_in, verify_sound
from audiossl.features.source import FeatureSource


def encoder(seed: int = 0) -> ToyUpstream:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        upstream = ToyUpstream(ToyConfig()).eval()
    upstream.name = "toy"
    return upstream


def source_in(root: Path, **settings: Any) -> FeatureSource:
    upstream = settings.pop("upstream", None) or encoder()
    cache = CacheConfig(dir=str(root), dtype=settings.pop("dtype", "fp32"))
    form = settings.pop("form", "frames")
    options = {"layers": (0, 1, 2), **settings}
    return open_source(upstream, fingerprint(upstream), cache, form, **options)


def assert_fresh(source: FeatureSource, cuts: CutSet) -> None:
    """What a source gives is what the encoder gives for the files as they are now."""
    batch = source.batch(list(cuts))
    assert batch.features is not None
    for number, cut in enumerate(cuts):
        sound = torch.from_numpy(cut.load_audio())
        expected = source.upstream(sound).item(0)
        for found, layer in zip(batch.features.item(number), expected, strict=True):
            torch.testing.assert_close(found, layer, rtol=1e-5, atol=1e-5)


@pytest.fixture
def cuts(own_corpus: Path) -> CutSet:
    return read_manifest(own_corpus / "train.jsonl.gz").to_eager()


def rewritten(path: Path) -> None:
    """Other samples, as many as before."""
    old, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, np.roll(old[::-1], 7), rate)


def path_of(cut: Any) -> Path:
    return Path(cut.recording.sources[0].source)


def test_every_setting_makes_an_entry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    base: dict[str, Any] = {"layers": [0, 1], "form": "frames", "dtype": "fp16", "precision": "fp32"}
    upstream = encoder()

    def key(upstream: Any = upstream, **changes: Any) -> str:
        return key_of(describe(upstream, fingerprint(upstream), **{**base, **changes}))

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
        patch.setattr(identity, "FORMAT", 2)
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


def test_changed_weights_under_the_same_name(tmp_path: Path, cuts: CutSet) -> None:
    for seed in (0, 1):
        source = source_in(tmp_path / "kept", upstream=encoder(seed))
        assert source.extract(cuts) == 6
        assert_fresh(source, cuts)
        source.store.close()
    assert [kept.upstream for kept in kept_in(tmp_path / "kept")] == ["toy", "toy"]


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
    assert_fresh(kept, CutSet.from_cuts([piped]))
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


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, cuts: CutSet) -> None:
    source = source_in(tmp_path / "kept")
    assert source.survey(cuts).missing_rows == 6  # its state is taken here
    rewritten(path_of(cuts[3]))
    source.extract(cuts)
    assert len(source.store) == 5
    assert_fresh(source_in(tmp_path / "kept"), cuts)


def test_a_changed_manifest_row(tmp_path: Path, own_corpus: Path, cuts: CutSet) -> None:
    source = source_in(tmp_path / "kept")
    source.extract(cuts)
    ids = [cut.id for cut in cuts]
    rotated = CutSet.from_cuts(cut.with_id(other) for cut, other in zip(cuts, ids[1:] + ids[:1], strict=True))
    shortened = CutSet.from_cuts(cut.truncate(duration=0.2) for cut in cuts)
    for number, changed in enumerate((rotated, shortened)):
        paths = write_manifests({"train": changed}, tmp_path / str(number))
        assert_fresh(source, read_manifest(paths["train"]).to_eager())
    assert len(source.store) + len(source.store._pending) == 12


def test_the_sound_itself_can_be_compared(tmp_path: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_in(tmp_path / "kept")
    source.extract(cuts)
    source.store.close()
    (kept,) = kept_in(tmp_path / "kept")
    assert not list(verify_sound(kept, cuts))
    # As on a file system that keeps no time of change.
    monkeypatch.setattr(identity, "_state", lambda file: [file])
    other = source_in(tmp_path / "other")
    other.extract(cuts)
    other.store.close()
    rewritten(path_of(cuts[1]))
    (kept,) = kept_in(tmp_path / "other")
    (problem,) = verify_sound(kept, cuts)
    assert cuts[1].id in problem


def test_pooled_is_the_mean_over_the_frames(tmp_path: Path, cuts: CutSet) -> None:
    frames, pooled = source_in(tmp_path / "kept"), source_in(tmp_path / "kept", form="pooled", layers=(0, 2))
    for source in (frames, pooled):
        source.extract(cuts)
    whole, means = frames.batch(list(cuts)).features, pooled.batch(list(cuts)).features
    assert whole is not None
    assert means is not None
    assert means.lengths.tolist() == [1] * 6
    assert [layer.shape for layer in means.layers] == [(6, 1, 8), (6, 0, 8), (6, 1, 8)]
    for number in range(6):
        for layer in (0, 2):
            expected = whole.item(number)[layer].mean(dim=0)
            torch.testing.assert_close(means.layers[layer][number, 0], expected)


def test_states_that_the_type_cannot_hold_are_used_but_not_kept(
    tmp_path: Path, cuts: CutSet, caplog: pytest.LogCaptureFixture
) -> None:
    class Loud(ToyUpstream):
        def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
            return [1e6 * layer for layer in super().encode(wavs, lengths, last)]

    upstream = Loud(ToyConfig()).eval()
    source = source_in(tmp_path / "kept", upstream=upstream, dtype="fp16")
    source.extract(cuts)
    assert len(source.store) == 0
    assert_fresh(source, cuts)
    assert caplog.text.count("beyond what fp16 can hold") == 1


def test_shares_are_disjoint_and_together_everything(tmp_path: Path, cuts: CutSet) -> None:
    counts = []
    for which in range(4):
        source = source_in(tmp_path / "kept")
        counts.append(source.extract(cuts, share=(which, 4)))
        source.store.close()
    assert counts == [2, 2, 1, 1]
    assert source_in(tmp_path / "kept").survey(cuts).missing_rows == 0


def test_a_file_is_looked_at_once(cuts: CutSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    first = rows.utterance(cuts[0])
    monkeypatch.setattr(identity, "utterance_of", None)
    assert rows.utterance(cuts[0].with_id("other")) == first


def test_the_toy_sounds_differ() -> None:
    assert not np.array_equal(sound_of("low", 1), sound_of("low", 2))
    assert RATE_HZ == 16000
