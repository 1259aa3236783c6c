"""Parts of the training rows: nested, the same everywhere, of each speaker in proportion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Lock

import pytest
from lhotse import CutSet, MonoCut, SupervisionSegment

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.subsets import read_amount, subset
from audiossl.demo.neighbours import Neighbours
from audiossl.experiments.config import DataConfig, Experiment, read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import load_run
from audiossl.experiments.publishing.card import run_card
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.start import train


@pytest.fixture
def many(row: Callable[..., MonoCut]) -> CutSet:
    """100 rows of a second: 60 of one speaker, 30 of another, 10 of a third."""
    cuts = []
    for number in range(100):
        cut = row(f"r{number:03}", 16000)
        speaker = "a" if number < 60 else "b" if number < 90 else "c"
        cut.supervisions.append(SupervisionSegment(cut.id, cut.id, 0.0, 1.0, speaker=speaker))
        cuts.append(cut)
    return CutSet.from_cuts(cuts)


def ids(cuts: CutSet) -> list[str]:
    return [cut.id for cut in cuts]


@pytest.mark.parametrize(("written", "number"), [("10s", 10), ("0.5min", 30), ("10%", 10), ("0.301", 31), ("1", 100)])
def test_the_amount_is_what_was_asked_for(many: CutSet, written: str, number: int) -> None:
    part = subset(many, written)
    assert len(part) == len(ids(part)) == number
    assert ids(part) == [name for name in ids(many) if name in set(ids(part))]  # in the manifest's order


def test_a_smaller_part_lies_within_a_larger_one_and_speakers_keep_their_shares(many: CutSet) -> None:
    parts = [ids(subset(many, share)) for share in ("0.1", "0.2", "0.5", "0.7")]
    assert all(set(small) < set(large) for small, large in pairwise(parts))
    for part in parts:
        of = Counter(
            {"a": 0, "b": 0, "c": 0} | Counter("a" if name < "r060" else "b" if name < "r090" else "c" for name in part)
        )
        assert all(abs(of[speaker] - share * len(part)) <= 1 for speaker, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)))


def test_it_depends_on_ids_and_the_draw_alone(many: CutSet) -> None:
    first = ids(subset(many, "0.2"))
    turned = CutSet.from_cuts(reversed(list(many)))
    assert sorted(ids(subset(turned, "0.2"))) == first
    assert first[:4] == ["r004", "r008", "r013", "r014"]  # on any machine, in any version
    assert ids(subset(many, "0.2", 1)) != first


def test_one_whole_row_at_least(many: CutSet) -> None:
    assert len(subset(many, "0.1s")) == 1


@pytest.mark.parametrize("written", ["", "ten", "0", "1.5", "101%", "-1h", "10 hours", "nan"])
def test_what_is_no_amount_is_one_sentence(written: str) -> None:
    with pytest.raises(ConfigError, match="is no amount of sound; write a share such as 0.1 or 10%, or a time"):
        read_amount(written, "data.subset")


def test_more_than_there_is_is_one_sentence(many: CutSet) -> None:
    with pytest.raises(ManifestError, match="data.subset=10min is more than the 100 s of the manifest"):
        subset(many, "10min")


def test_only_training_rows_are_left_out(corpus: Path) -> None:
    whole, part = (DataConfig(dir=str(corpus), subset=written) for written in ("", "50%"))
    assert 0 < len(ids(part.rows("train"))) < len(ids(whole.rows("train")))
    assert ids(part.rows("dev")) == ids(whole.rows("dev"))


def test_a_run_trains_on_its_part(experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    config = experiment("data.subset=0.5", "trainer.steps=2", "trainer.eval_every=2")
    run = load_run(train(config, tmp_path / "run"))
    assert read_experiment(run.folder / "config.yaml", []).data.subset == "0.5"
    part = ids(config.data.rows("train"))
    assert [row["id"] for row in run.predictions_of("train")] == sorted(part)
    neighbours = Neighbours(run, 100, Lock())
    neighbours.compute()
    assert [cut.id for cut in neighbours.items] == part
    card = run_card(RunFolder(run.folder), RunFolder(run.folder), "me/it", PushOptions())
    assert f"- train: {len(part)} recordings" in card
    with pytest.raises(ConfigError, match="data.subset='half'"):
        experiment("data.subset=half")
