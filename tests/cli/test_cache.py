"""`audiossl extract` and `audiossl cache`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.core import TINY_TERA

from audiossl.core.errors import AudiosslError
from audiossl.core.locks import lock_file
from audiossl.features import manage
from audiossl.features.shards import _FOOTER, Shard

Call = Callable[..., tuple[int, str]]
OPTIONS = [f"--option={key}={value}" for key, value in {**TINY_TERA, "weights": "random"}.items()]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`audiossl <arguments> --dir <a cache of the test's own>`: exit code and output."""
    from audiossl.cli.main import main

    def run(*arguments: object) -> tuple[int, str]:
        command = ["audiossl", *map(str, arguments), "--dir", str(tmp_path / "kept")]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        captured = capfd.readouterr()
        return code, captured.out or captured.err

    return run


def extracted(call: Call, manifest: Path, *more: str) -> dict[str, Any]:
    code, out = call("extract", "tera", manifest, *OPTIONS, "--json", *more)
    assert code == 0, out
    facts: dict[str, Any] = json.loads(out)
    return facts


def listed(call: Call) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(call("cache", "list", "--json")[1])
    return rows


def test_extract_then_list_and_inspect(call: Call, corpus: Path) -> None:
    manifest = corpus / "train.jsonl.gz"
    half = extracted(call, manifest, "--shard=1/2")
    assert (half["num_computed"], half["complete"]) == (9, False)
    rest = extracted(call, manifest, "--shard=2/2")
    assert (rest["num_computed"], rest["complete"]) == (9, True)
    again = extracted(call, manifest)
    assert (again["num_computed"], again["complete"], again["key"]) == (0, True, half["key"])
    pooled = extracted(call, manifest, "--form=pooled", "--layers=0,2", "--dtype=fp32")
    assert pooled["layers"] == [0, 2]
    rows = listed(call)
    assert {row["key"] for row in rows} == {half["key"], pooled["key"]}
    assert all(row["num_utterances"] == 18 and row["usable"] for row in rows)
    assert "tera" in call("cache", "list")[1]
    info = json.loads(call("cache", "info", half["key"][:6])[1])
    assert (info["form"], info["audio"]["sample_rate_hz"], info["layers"]) == ("frames", 16000, [0, 1, 2])


def test_each_process_of_torchrun_takes_its_share(call: Call, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, complete in (("0", False), ("1", True)):
        monkeypatch.setenv("RANK", rank)
        facts = extracted(call, corpus / "train.jsonl.gz")
        assert (facts["num_computed"], facts["complete"]) == (9, complete)


def test_the_size_is_announced_and_right(call: Call, corpus: Path, capfd: pytest.CaptureFixture[str]) -> None:
    facts = extracted(call, corpus / "train.jsonl.gz")
    (row,) = listed(call)
    index = sum(1 for _ in Path(facts["folder"]).glob("*.shard"))
    assert index == 1
    (path,) = Path(facts["folder"]).glob("*.shard")
    assert facts["num_bytes"] == sum(place.num_bytes for place in Shard(path).index)
    assert row["num_frames"] == sum(place.num_frames for place in Shard(path).index)


def test_what_was_extracted_is_what_training_reads(
    call: Call, corpus: Path, tmp_path: Path, cached_experiment: Callable[..., Any]
) -> None:
    from audiossl.experiments.start import train

    for split in ("train", "dev"):
        extracted(call, corpus / f"{split}.jsonl.gz", "--form=pooled")
    options = [f"upstream_options.{key}={value}" for key, value in {**TINY_TERA, "weights": "random"}.items()]
    settings = ["upstream=tera", *options, f"cache.dir={tmp_path / 'kept'}", "features=pooled"]
    before = [(path, path.stat().st_mtime_ns) for path in (tmp_path / "kept").rglob("*.shard")]
    train(cached_experiment(*settings), tmp_path / "run")
    assert [(path, path.stat().st_mtime_ns) for path in (tmp_path / "kept").rglob("*.shard")] == before


def test_verify_finds_a_corrupted_byte(call: Call, corpus: Path) -> None:
    facts = extracted(call, corpus / "train.jsonl.gz")
    assert call("cache", "verify", "--audio", corpus / "train.jsonl.gz")[0] == 0
    (path,) = Path(facts["folder"]).glob("*.shard")
    data = bytearray(path.read_bytes())
    data[Shard(path).index[7].offset] ^= 1
    path.write_bytes(data)
    code, out = call("cache", "verify", "--json")
    assert code == 1
    assert "is damaged" in json.loads(out)["problems"][0]
    assert call("cache", "verify")[0] == 0
    assert listed(call)[0]["num_damaged"] == 1
    assert extracted(call, corpus / "train.jsonl.gz")["num_computed"] == 18
    call("cache", "prune")
    assert listed(call)[0]["num_damaged"] == 0


def test_prune_and_rm(call: Call, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [extracted(call, corpus / "dev.jsonl.gz", f"--dtype={dtype}")["key"] for dtype in ("fp16", "fp32", "int8")]
    for days, key in zip((9, 5, 1), keys, strict=True):
        lock = tmp_path / "kept" / key / ".lock"
        os.utime(lock, (time.time() - days * 86400,) * 2)
    assert [row["key"] for row in listed(call)] == keys[::-1]
    call("cache", "prune", "--older-than-days=7")
    assert [row["key"] for row in listed(call)] == [keys[2], keys[1]]
    call("cache", "prune", "--unused")
    assert len(listed(call)) == 2
    smallest = listed(call)[0]["num_bytes"] / 1e9
    call("cache", "prune", f"--max-gb={smallest}")
    assert [row["key"] for row in listed(call)] == [keys[2]]
    monkeypatch.setattr(manage, "FORMAT", 99)  # as a later version would
    assert not listed(call)[0]["usable"]
    call("cache", "prune", "--unused")
    assert listed(call) == []
    monkeypatch.undo()
    key = extracted(call, corpus / "dev.jsonl.gz")["key"]
    with open(tmp_path / "kept" / key / ".lock") as lock:
        lock_file(lock, shared=True)
        assert "A process is using" in call("cache", "rm", key)[1]
        call("cache", "prune", "--max-gb=0")
        assert len(listed(call)) == 1
    assert call("cache", "rm", key)[0] == 0
    assert listed(call) == []


def test_an_unknown_key_is_named(call: Call, corpus: Path, tmp_path: Path) -> None:
    code, out = call("cache", "info", "abc")
    assert code == 2
    assert "no entry begins with 'abc'" in out
    for dtype in ("fp16", "fp32"):
        extracted(call, corpus / "dev.jsonl.gz", f"--dtype={dtype}")
    with pytest.raises(AudiosslError, match="2 entries begin with ''"):
        manage.find_entry(tmp_path / "kept", "")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--shard=3/2", "write i/n with i from 1 to n"),
        ("--layers=5", "has layers 0 to 2"),
        ("--layers=a", "write all, last, or numbers"),
        ("--form=stats", "choose frames, pooled or statistics"),
        ("--dtype=fp8", "dtype"),
    ],
)
def test_wrong_options_are_one_sentence(call: Call, corpus: Path, option: str, message: str) -> None:
    code, out = call("extract", "tera", corpus / "dev.jsonl.gz", *OPTIONS, option)
    assert code == 2
    assert message in out


def test_extract_that_cannot_store_says_so(
    call: Call, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = call("extract", "tera", corpus / "dev.jsonl.gz", *OPTIONS, "--max-gb=0")
    assert code == 2
    assert re.search(r"(\d+) of \1 recordings are not kept, because the cache has reached its limit of 0 GB", out)
    # A part of which there is nothing to do has not failed.
    assert not extracted(call, corpus / "dev.jsonl.gz", "--shard=99/99")["complete"]
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").write_bytes(b"RIFF")
    for command in (["extract", "tera", corpus / "dev.jsonl.gz", *OPTIONS], ["cache", "list"], ["cache", "prune"]):
        code, out = call(*command)
        assert code == 2
        assert f"{tmp_path / 'kept'} is a file, and hidden states are kept in a folder" in out


def test_a_shard_of_another_version_is_named_and_computed_again(
    call: Call, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted(call, corpus / "dev.jsonl.gz")
    (path,) = (tmp_path / "kept").glob("*/*.shard")
    rewrite_index(path, lambda row: [*row, "a later field"])
    assert listed(call)[0]["num_damaged"] == 1
    assert "1 unreadable shard(s)" in call("cache", "list")[1]
    code, out = call("cache", "verify")
    assert code == 1
    assert f"{path} has an index that this version of audiossl cannot read." in out
    facts = extracted(call, corpus / "dev.jsonl.gz")
    assert (facts["num_computed"], facts["complete"]) == (facts["num_rows"], True)


def rewrite_index(path: Path, changed: Callable[[list[Any]], list[Any]]) -> None:
    """Give a shard's records another index, with the checksum that belongs to it."""
    data = path.read_bytes()
    start, length, _, mark = _FOOTER.unpack(data[-_FOOTER.size :])
    index = json.dumps([changed(row) for row in json.loads(data[start : start + length])]).encode()
    path.write_bytes(data[:start] + index + _FOOTER.pack(start, len(index), zlib.crc32(index), mark))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune", "--max-gb=-1"], "--max-gb -1: give 0 or more"),
        (["prune", "--older-than-days=nan"], "--older-than-days nan: give 0 or more"),
        (["verify", "--audio=nope.jsonl"], "There is no nope.jsonl"),
    ],
)
def test_what_cannot_be_is_refused_on_an_empty_cache_too(call: Call, arguments: list[str], message: str) -> None:
    code, out = call("cache", *arguments)
    assert code == 2
    assert message in out
