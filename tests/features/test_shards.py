"""Files of records: whole or not there, and no damaged record is returned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audiossl.features.shards import (
    BAD_SUFFIX,
    Shard,
    ShardError,
    ShardWriter,
    abandoned_files,
    quarantine,
    read_record,
)


def record(number: int, size: int = 128) -> torch.Tensor:
    return torch.full((size,), number, dtype=torch.uint8)


def written(folder: Path, *numbers: int) -> Path:
    writer = ShardWriter(folder)
    for number in numbers:
        writer.add(
            record(number), utterance=f"u{number}", row=f"r{number}", num_frames=1, num_samples=160, sound=f"s{number}"
        )
    return writer.finish()


def test_records_come_back_with_what_they_are_of(tmp_path: Path) -> None:
    shard = Shard(written(tmp_path, 3, 5))
    assert [(place.utterance, place.row, place.sound) for place in shard.index] == [
        ("u3", "r3", "s3"),
        ("u5", "r5", "s5"),
    ]
    assert [place.offset % 64 for place in shard.index] == [0, 0]
    mapped = shard.map()
    assert [int(read_record(mapped, place)[0]) for place in shard.index] == [3, 5]
    assert len(mapped) == shard.num_bytes == shard.path.stat().st_size


def test_a_mapped_shard_may_be_written_to_and_its_file_stays(tmp_path: Path) -> None:
    shard = Shard(written(tmp_path, 3))
    mapped = shard.map()
    mapped.fill_(0)
    assert int(read_record(shard.map(), shard.index[0])[0]) == 3
    with pytest.raises(ShardError, match="record of r3 is damaged"):
        read_record(mapped, shard.index[0])


def test_nothing_is_there_before_the_end_and_nothing_after_giving_up(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path)
    writer.add(record(1), utterance="u", row="r", num_frames=1, num_samples=160, sound="")
    assert not list(tmp_path.glob("*.shard"))
    assert list(abandoned_files(tmp_path)) == []  # its writer lives
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_died_leaves_what_can_be_cleaned_up(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path)
    writer._file.close()
    assert [path.suffix for path in abandoned_files(tmp_path)] == [".part"]


def test_a_file_that_shrinks_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    shard = Shard(written(tmp_path, 3))
    shard.path.write_bytes(shard.path.read_bytes()[:-1])
    with pytest.raises(ShardError, match="has changed its size"):
        shard.map()


@pytest.mark.parametrize("place", [0, -1, -20, -40])
def test_a_file_that_is_damaged_around_its_records_is_no_shard(tmp_path: Path, place: int) -> None:
    path = written(tmp_path, 3)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ShardError):
        Shard(path)
    quarantine(path)
    assert [left.name for left in tmp_path.iterdir()] == [path.name + BAD_SUFFIX]
    quarantine(path)  # another process was first
