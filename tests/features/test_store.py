"""Writers that die, full disks, damaged shards and budgets: nothing wrong is ever read."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.cache import WIDTHS, states
from toys.core import ROOT
from toys.warm import python

from audiossl.features import store as store_module
from audiossl.features.codec import Codec
from audiossl.features.shards import Shard, ShardError, ShardWriter
from audiossl.features.store import Budget, Record, Store

DESCRIPTION = {"format": 1, "name": "test"}


def opened(root: Path, max_gb: float | None = 1.0) -> Store:
    return Store(root, DESCRIPTION, Budget(root, max_gb))


def put(store: Store, number: int, dtype: str = "fp32") -> bool:
    record = Codec(dtype, WIDTHS).encode(states(number))
    assert record is not None
    return store.add(record, utterance=str(number), row=f"row {number}", num_frames=9, num_samples=100, sound="")


def assert_right(store: Store, number: int) -> None:
    assert_record(store.read(str(number)), number)


def assert_record(record: Record | None, number: int) -> None:
    assert record is not None
    assert (record.num_frames, record.num_samples) == (9, 100)
    for found, expected in zip(Codec("fp32", WIDTHS).decode(record.data, 9, (0, 1)), states(number), strict=True):
        assert torch.equal(found, expected)


def filled(root: Path, *numbers: int) -> Store:
    store = opened(root)
    for number in numbers:
        assert put(store, number)
    store.close()
    return store


def test_what_was_written_is_read_by_this_and_by_later_processes(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    put(store, 3)
    for reader in (store, opened(tmp_path)):
        for number in (1, 2):
            assert_right(reader, number)
    assert_right(store, 3)  # finishes the shard
    assert opened(tmp_path).read("4") is None
    assert not put(store, 1)  # it is there already
    assert len(opened(tmp_path)) == 3


def test_an_unfinished_shard_is_not_read_and_is_cleaned_up(tmp_path: Path) -> None:
    store = opened(tmp_path)
    put(store, 1)
    other = opened(tmp_path)
    assert "1" not in other
    assert len(list(store.folder.glob(".*.part"))) == 1  # its writer lives
    store._writer._file.close()  # type: ignore[union-attr]
    opened(tmp_path)
    assert not list(store.folder.glob(".*.part"))


def test_a_record_that_was_interrupted_does_not_spoil_those_before(tmp_path: Path) -> None:
    store = opened(tmp_path)
    put(store, 1)
    assert store._writer is not None
    store._writer._file.write(b"half a record")  # then Ctrl-C
    store.close()
    assert_right(opened(tmp_path), 1)


def test_a_corrupted_byte_anywhere_is_never_read(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3)
    (path,) = store.folder.glob("*.shard")
    whole = path.read_bytes()
    rng = random.Random(0)
    places = [0, 70, len(whole) - 1, len(whole) - 20, len(whole) - 200, *rng.sample(range(len(whole)), 25)]
    used = {place for record in Shard(path).index for place in range(record.offset, record.offset + record.num_bytes)}
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        reader = opened(tmp_path)
        found = [reader.read(str(number)) for number in (1, 2, 3)]
        for number, record in enumerate(found, start=1):
            if record is not None:
                assert_record(record, number)
        if place in used:
            assert None in found
        for bad in store.folder.glob("*.bad"):
            bad.unlink()
        path.unlink(missing_ok=True)


def test_a_damaged_shard_is_put_aside_and_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = filled(tmp_path, 1, 2)
    other = filled(tmp_path, 3)
    path = next(path for path in store.folder.glob("*.shard") if len(Shard(path).index) == 2)
    data = bytearray(path.read_bytes())
    data[Shard(path).index[1].offset + 5] ^= 1
    path.write_bytes(data)
    reader = opened(tmp_path)
    assert_right(reader, 1)
    assert reader.read("2") is None
    assert "is damaged" in caplog.text
    assert [bad.name for bad in store.folder.glob("*.bad")] == [path.name + ".bad"]
    assert_right(reader, 3)
    for number in (1, 2):
        assert reader.read(str(number)) is None
        put(reader, number)
        assert_right(reader, number)
    other.close()


@pytest.mark.parametrize("kept", [0, 10, 64, 500, -1])
def test_a_shard_that_is_cut_off_is_put_aside(tmp_path: Path, kept: int) -> None:
    store = filled(tmp_path, 1)
    (path,) = store.folder.glob("*.shard")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ShardError):
        Shard(path)
    assert opened(tmp_path).read("1") is None


def test_a_description_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    other = store.folder / ".entry.json.0123abcd.part"
    other.write_text("{}")
    opened(tmp_path)
    assert other.exists()


def test_two_shards_with_the_same_recording(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    put(first, 1), put(second, 1), put(second, 2)
    first.close(), second.close()
    reader = opened(tmp_path)
    assert len(reader) == 2
    reader._forget(reader._found["1"][0])  # the one it was found in is lost, the other is not
    assert_right(reader, 1)


def test_an_entry_that_is_removed_while_it_is_read(tmp_path: Path) -> None:
    import shutil

    reader = filled(tmp_path, 1, 2)
    assert_right(reader, 1)
    shutil.rmtree(reader.folder)
    assert_right(reader, 1)  # still mapped
    assert opened(tmp_path).read("1") is None


def test_many_maps_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_MAPPED_BYTES", 5000)
    for number in range(6):
        filled(tmp_path, number)
    reader = opened(tmp_path)
    kept = [reader.read(str(number)) for number in range(6)]
    assert len(reader._maps) <= 3
    for number, record in enumerate(kept):  # what is in use stays mapped
        assert record is not None
        assert torch.equal(Codec("fp32", WIDTHS).decode(record.data, 9, (0,))[0], states(number)[0])


class Full:
    """A disk that takes so many bytes more and then none."""

    def __init__(self, file: Any, room: list[int]) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        if len(data) > self.room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room[0] -= len(data)
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 64, 3000, 5000, 9000])
def test_a_disk_that_becomes_full_keeps_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, room: int
) -> None:
    filled(tmp_path, 0)
    left = [room]
    create = ShardWriter.__init__

    def created(self: ShardWriter, folder: Path) -> None:
        create(self, folder)
        self._file = Full(self._file, left)  # type: ignore[assignment]

    monkeypatch.setattr(ShardWriter, "__init__", created)
    monkeypatch.setattr(store_module, "SHARD_BYTES", 4000)
    store = opened(tmp_path)
    added = [number for number in range(1, 8) if put(store, number)]
    store.close()
    assert not store.writable
    assert len(added) < 7
    assert caplog.text.count("No more hidden states are kept") == 1
    assert "No space left on device" in caplog.text
    reader = opened(tmp_path)
    assert_right(reader, 0)
    for number in range(1, 8):
        if str(number) in reader:
            assert_right(reader, number)
    assert not list(store.folder.glob(".*.part"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_is_full(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(small_disk)
    store_module.SHARD_BYTES, old = 20_000, store_module.SHARD_BYTES
    try:
        added = [number for number in range(400) if put(store, number)]
        store.close()
    finally:
        store_module.SHARD_BYTES = old
    assert 20 < len(added) < 200
    assert caplog.text.count("No more hidden states are kept") == 1
    reader = opened(small_disk)
    assert len(reader) > 20
    for number in range(400):
        if str(number) in reader:
            assert_right(reader, number)


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "file"
    root.write_text("no folder")
    store = opened(root)
    assert not put(store, 1)
    assert store.read("1") is None
    assert caplog.text.count("cannot be written") == 1


def test_the_budget_counts_what_is_there_and_is_shared(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    used = store_module.bytes_below(tmp_path)
    assert Budget(tmp_path, (used + 5000) / 1e9).left == 5000
    assert Budget(tmp_path, (used + 5000) / 1e9, world=2).left == 2500
    assert Budget(tmp_path, used / 2e9).left == 0
    assert Budget(tmp_path / "no" / "folder", None).left > 0


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{room!r}, {tests!r}]
from test_store import opened, put
from audiossl.features import store
store.SHARD_BYTES = 12_000
kept = opened(Path({root!r}))
print("ready", flush=True)
for number in range({first}, {last}):
    put(kept, number)
kept.close()
print("done", flush=True)
"""


def writer(root: Path, first: int, last: int, which: str = sys.executable) -> subprocess.Popen[str]:
    code = WRITER.format(
        root=str(root), first=first, last=last, room=str(Path(__file__).parent), tests=str(ROOT / "tests")
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([which, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)


def killed_at_random_points(root: Path, times: int) -> None:
    rng = random.Random(0)
    seen = 0
    for _ in range(times):
        process = writer(root, 0, 100_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        reader = opened(root)
        assert not list(reader.folder.glob(".*.part"))  # what was unfinished is gone
        assert len(reader) >= seen  # what was finished stays
        seen = len(reader)
        for utterance in reader._found:
            assert_right(reader, int(utterance))
    assert seen > 0


def test_a_writer_that_is_killed_loses_only_what_was_unfinished(tmp_path: Path) -> None:
    killed_at_random_points(tmp_path, 2)


@pytest.mark.slow
@pytest.mark.long
def test_a_writer_that_is_killed_at_many_points(tmp_path: Path) -> None:
    killed_at_random_points(tmp_path, 40)


def test_two_writers_at_once(tmp_path: Path) -> None:
    processes = [writer(tmp_path, 0, 150, python()), writer(tmp_path, 75, 225, python())]
    reader = opened(tmp_path)
    while any(process.poll() is None for process in processes):
        reader.refresh()
        for utterance in list(reader._found):
            assert_right(reader, int(utterance))
        time.sleep(0.02)  # there may be no more than one core
    assert [process.returncode for process in processes] == [0, 0]
    reader = opened(tmp_path)
    assert len(reader) == 225
    for number in range(225):
        assert_right(reader, number)
