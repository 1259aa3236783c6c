"""Shards of a toy corpus, and what may happen to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lhotse.cut import Cut

from audiossl.data.manifests import read_manifest
from audiossl.data.reading import path_of
from audiossl.data.shard_members import ShardMember
from audiossl.data.shards import ShardSettings, write_shards


def shards_of(manifests: Path, out: Path, **settings: Any) -> Path:
    """The folder of shards of all manifests in a folder, four rows each where `settings` say nothing else."""
    splits = {path.name.removesuffix(".jsonl.gz"): path for path in sorted(manifests.glob("*.jsonl.gz"))}
    write_shards(splits, out, ShardSettings(**{"rows": 4, **settings}))
    return out


def rows_in(folder: Path, split: str = "train") -> list[Cut]:
    return list(read_manifest(folder / f"{split}.jsonl.gz"))


def member_of(cut: Cut) -> ShardMember:
    member = ShardMember.parse(path_of(cut) or "")
    assert member is not None
    return member


def damage(cut: Cut) -> Path:
    """Change one byte in the middle of a row's sound. Returns the tar."""
    member = member_of(cut)
    with open(member.tar, "r+b") as file:
        file.seek(member.offset + member.size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0xFF]))
    return Path(member.tar)
