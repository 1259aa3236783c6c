"""Pre-training from shards: the losses of the plain files, in the order of the shards, damaged, stopped and shared."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import pytest
from toys.heads import log_of
from toys.shards import damage, rows_in, shards_of
from toys.tera import short_pretraining

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.shard_members import _read
from audiossl.experiments.training import pretrain
from audiossl.objectives.tera.objective import TeraObjective

IN_ORDER = ("data.order=shards", "data.window_shards=2", "data.batch_size=null", "data.max_duration_s=1.0")


@pytest.fixture(scope="module")
def shards(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shards_of(corpus, tmp_path_factory.mktemp("shards"))


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longer than all else here."""
    monkeypatch.setattr(TeraObjective, "snapshot", lambda *_: {})


def losses(run: Path, split: str = "train") -> list[float]:
    return [line["loss"] for line in log_of(run, split)]


def heard(monkeypatch: pytest.MonkeyPatch, ids: list[str], stop_at: int = 0) -> None:
    """Note the rows of each training batch, and send SIGINT in one of them."""
    original = TeraObjective.loss

    def loss(self: TeraObjective, batch: Any) -> Any:
        if self.training:
            ids.append(" ".join(cut.id for cut in batch.cuts))
            if len(ids) == stop_at:
                signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    monkeypatch.setattr(TeraObjective, "loss", loss)


def test_losses_and_metrics_are_those_of_the_plain_files(corpus: Path, shards: Path, tmp_path: Path) -> None:
    for name, folder in (("plain", corpus), ("shards", shards)):
        pretrain(short_pretraining(folder, "trainer.eval_every=6"), tmp_path / name)
    for split, number in (("train", 12), ("dev", 2)):
        assert len(losses(tmp_path / "plain", split)) == number
        assert losses(tmp_path / "shards", split) == losses(tmp_path / "plain", split)


def test_shards_in_order_stopped_in_a_window_go_on_exactly(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, straight, stopped = short_pretraining(shards, *IN_ORDER), list[str](), list[str]()
    with monkeypatch.context() as patch:
        heard(patch, straight)
        pretrain(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        heard(patch, stopped, stop_at=5)
        with pytest.raises(BaseException, match="after step 3"):
            pretrain(config, tmp_path / "stopped")
        pretrain(config, tmp_path / "stopped", resume=True)
    assert stopped == straight
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")


def test_a_damaged_recording_is_named_and_left_out_only_when_asked(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, ids = shards_of(corpus, tmp_path / "shards"), list[str]()
    bad = rows_in(folder)[5]
    _read.cache_clear()
    tar = damage(bad)
    with pytest.raises(AudioError, match=rf"00000005-.* in .*{tar.name} is damaged.*data\.skip_bad=true"):
        pretrain(short_pretraining(folder, *IN_ORDER), tmp_path / "strict")
    heard(monkeypatch, ids)
    with caplog.at_level(logging.WARNING, logger="audiossl"):
        pretrain(short_pretraining(folder, *IN_ORDER, "data.skip_bad=true"), tmp_path / "lenient")
    named = [line.getMessage() for line in caplog.records if "Left out" in line.getMessage()]
    assert len(named) == 1  # though it came in every epoch
    assert f"row {bad.id}:" in named[0]
    assert "is damaged" in named[0]
    assert len(losses(tmp_path / "lenient")) == 12
    assert {cut.id for cut in rows_in(folder)} - {name for batch in ids for name in batch.split()} == {bad.id}
    tar.unlink()
    with pytest.raises(AudioError, match="is missing"):  # which is no bad recording
        pretrain(short_pretraining(folder, *IN_ORDER, "data.skip_bad=true"), tmp_path / "gone")


def test_plain_files_have_no_order_of_shards(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is in no shard"):
        pretrain(short_pretraining(corpus, "data.order=shards"), tmp_path / "run")
