"""Rows beside those of a task: the task's order, exact resumption, processes, and the curriculum."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from lhotse import CutSet
from toys.core import write_corpus

from audiossl.data.config import LoaderConfig
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.paired import Beside, PairedStream
from audiossl.data.stream import BatchStream, Item, StreamPlan

PLAN = StreamPlan(LoaderConfig(batch_size=4, balance="label"), sample_rate_hz=16000, train=True, seed=1)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[CutSet, CutSet]:
    folder = write_corpus(tmp_path_factory.mktemp("corpus"), {"train": 4, "dev": 1, "test": 1})
    cuts = list(read_manifest(folder / "train.jsonl.gz"))
    others = [cut.with_id(f"other-{cut.id}") for cut in cuts[:7]]
    return CutSet.from_cuts(cuts), CutSet.from_cuts(others)


def ids(item: Item | None) -> list[str]:
    assert item is not None
    return [cut.id for cut in item.cuts]


def test_the_task_has_its_own_order_and_a_resumed_stream_goes_on(rows: tuple[CutSet, CutSet]) -> None:
    own, others = rows
    beside = Beside(others, replaced_after=8)
    whole = list(islice(PairedStream(own, PLAN, beside), 8))
    assert [ids(item) for item in whole] == [ids(item) for item in islice(BatchStream(own, PLAN), 8)]
    for rank in (0, 1):
        again = islice(PairedStream(own, PLAN.at(whole[1].position, rank, 2), beside), 3)
        for item, expected in zip(again, whole[2 + rank :: 2], strict=True):
            assert (item.position, ids(item), ids(item.beside)) == (
                expected.position,
                ids(expected),
                ids(expected.beside),
            )


def test_rows_beside_give_way_to_the_tasks(rows: tuple[CutSet, CutSet]) -> None:
    own, others = rows
    never = [ids(item.beside) for item in islice(PairedStream(own, PLAN, Beside(others)), 6)]
    assert all(name.startswith("other-") for batch in never for name in batch)
    assert {name for batch in never[:2] for name in batch} == {cut.id for cut in others}  # an epoch has each once
    mixed = list(islice(PairedStream(own, PLAN, Beside(others, replaced_after=4)), 8))
    shares = [sum(name.startswith("other-") for name in ids(item.beside)) for item in mixed]
    assert shares[0] == len(ids(mixed[0].beside))
    assert shares[4:] == [0] * 4
    assert set(ids(mixed[5].beside)) <= set(ids(mixed[5]))


def test_both_are_read(rows: tuple[CutSet, CutSet], tmp_path: Path) -> None:
    own, others = rows
    batch = next(iter(make_loader(own, PLAN, Beside(others))))
    assert batch.beside is not None
    assert all(cut.id.startswith("other-") for cut in batch.beside.cuts)
    assert batch.beside.wavs.shape[0] == len(batch.beside)
    assert batch.to("cpu").beside is not None
