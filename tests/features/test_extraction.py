"""Filling the cache without training, in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.features.config import CacheConfig
from audiossl.features.extraction import extract, parse_shard


def filled(manifests: list[Path], root: Path, lines: list[str] | None = None, **more: Any) -> dict[str, Any]:
    settings = {"options": {}, "form": "pooled", "layers": "all", "shard": "1/1", "num_workers": 0, **more}
    say = (lines if lines is not None else []).append
    return extract("log_mel", manifests, cache=CacheConfig(dir=str(root)), say=say, **settings)


def test_parts_do_the_work_of_the_whole_and_the_last_says_so(tmp_path: Path, own_corpus: Path) -> None:
    manifests, lines = [own_corpus / f"{split}.jsonl.gz" for split in ("train", "dev")], []
    parts = [filled(manifests, tmp_path / "kept", lines, shard=f"{part}/2") for part in (1, 2)]
    assert [part["complete"] for part in parts] == [False, True]
    assert sum(part["num_computed"] for part in parts) == parts[0]["num_rows"] == 9
    assert [line.split(" once: ")[0].rsplit("/", 1)[1] for line in lines] == ["train.jsonl.gz", "dev.jsonl.gz"] * 2
    whole = filled(manifests, tmp_path / "other")
    assert (whole["key"], whole["num_bytes"]) == (parts[0]["key"], parts[0]["num_bytes"])
    assert filled(manifests, tmp_path / "other")["num_computed"] == 0


def test_what_cannot_be_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--form mean: choose frames"):
        filled([tmp_path / "none.jsonl.gz"], tmp_path, form="mean")
    with pytest.raises(ConfigError, match="--shard 3/2"):
        filled([tmp_path / "none.jsonl.gz"], tmp_path, shard="3/2")
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("shard", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_shards_that_are_none(shard: str) -> None:
    with pytest.raises(ConfigError, match="write i/n with i from 1 to n"):
        parse_shard(shard)
