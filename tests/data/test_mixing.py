"""Shares of sound: of several manifests, and of values of fields."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from lhotse import CutSet, SupervisionSegment

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import EpochDraws
from audiossl.data.fields import read_field
from audiossl.data.manifests import write_manifests
from audiossl.data.mixing import Composition, check_shares, read_mixed
from audiossl.data.stream import BatchStream, StreamPlan
from audiossl.experiments.config import PretrainData


@pytest.fixture
def rows(row):
    """Rows of a corpus with genders: `rows("a", {"f": (3, 800)})` are 3 rows of 800 samples each."""

    def make(prefix, groups):
        made = []
        for gender, (count, num_samples) in groups.items():
            for number in range(count):
                cut = row(f"{prefix}-{gender}{number}", num_samples, rate=1000)
                custom = {"gender": gender} if gender else {}
                cut.supervisions.append(SupervisionSegment(cut.id, cut.id, 0.0, cut.duration, custom=custom))
                made.append(cut)
        return CutSet.from_cuts(made)

    return make


def seconds(draws, field, epochs=1):
    """Share of the sound of the first epochs by the values of a field."""
    lasts = Counter()
    for epoch in range(epochs):
        for use in draws.order(epoch):
            lasts[read_field(draws.cut(use, epoch), field) or "none"] += use.lasts_s
    return {value: lasted / sum(lasts.values()) for value, lasted in lasts.items()}


def test_shares_are_of_seconds_whatever_rows_last(rows):
    cuts = rows("a", {"f": (5, 700), "m": (90, 400), "x": (3, 5000)})
    config = LoaderConfig(compose={"gender": {"f": 0.5, "m": 0.3, "*": 0.2}}, max_crop_s=2.0)
    draws = EpochDraws(cuts, config, seed=0)
    found = seconds(draws, "gender", epochs=40)
    assert found == pytest.approx({"f": 0.5, "m": 0.3, "x": 0.2}, abs=0.01)
    total = sum(use.lasts_s for use in draws.order(0))
    assert total == pytest.approx(5 * 0.7 + 90 * 0.4 + 3 * 2.0, rel=0.1)  # an epoch is as long as without shares
    uses = Counter(use.row for use in draws.order(0) if use.row < 5)
    assert max(uses.values()) - min(uses.values()) <= 1  # none comes again before all others of its value
    assert {use.draw for use in draws.order(0) if use.row < 5} == set(range(max(uses.values())))


def test_a_share_below_a_row_is_met_over_the_epochs(rows):
    draws = EpochDraws(rows("a", {"f": (3, 4000), "m": (20, 500)}), LoaderConfig(compose=shares(0.02)), seed=1)
    assert seconds(draws, "gender", epochs=300)["f"] == pytest.approx(0.02, abs=0.005)


def shares(female):
    return {"gender": {"f": female, "m": 1 - female}}


def test_what_is_not_named_is_left_out_and_counted(rows, caplog):
    draws = EpochDraws(rows("a", {"f": (4, 800), "m": (6, 800)}), LoaderConfig(compose={"gender": {"f": 1.0}}), seed=0)
    assert len(draws) == 4
    assert "6 rows that data.compose does not name are left out" in caplog.text


def test_several_manifests_are_one_with_each_its_share(rows, tmp_path):
    paths = {
        name: write_manifests({name: made}, tmp_path)[name]
        for name, made in {
            "talks": rows("t", {"f": (10, 900), "m": (30, 900)}),
            "words": rows("w", {"f": (9, 200), "m": (2, 200)}),
        }.items()
    }
    data = PretrainData(dir=str(tmp_path), mix={"talks.jsonl.gz": 0.25, "words.jsonl.gz": 0.75}, compose=shares(0.5))
    cuts = data.rows("train")
    assert len(cuts) == len(list(cuts)) == 51
    found = EpochDraws(cuts, data, seed=0)
    assert seconds(found, "corpus", 20) == pytest.approx({"talks.jsonl.gz": 0.25, "words.jsonl.gz": 0.75}, abs=0.02)
    assert seconds(found, "gender", 20) == pytest.approx({"f": 0.5, "m": 0.5}, abs=0.02)
    assert read_mixed(paths)[0].supervisions[0].custom == {"gender": "f", "corpus": "talks"}


def test_a_mixed_stream_resumes_and_is_shared_by_processes(rows):
    cuts = rows("a", {"f": (5, 700), "m": (20, 300)})
    plan = StreamPlan(LoaderConfig(batch_size=3, compose=shares(0.5)), sample_rate_hz=1000, train=True)

    def drawn(start, rank=0, world=1, count=12):
        stream = islice(BatchStream(cuts, plan.at(start, rank, world)), count)
        return [(item.position, [cut.id for cut in item.cuts]) for item in stream]

    whole = drawn(None)
    assert drawn(whole[4][0], count=7) == whole[5:]
    assert [*drawn(None, 0, 2, 6), *drawn(None, 1, 2, 6)] == whole[::2] + whole[1::2]


def test_rows_without_a_supervision_are_marked_too(row, tmp_path):
    write_manifests({"a": [row("one", 800)], "b": [row("two", 800)]}, tmp_path)
    cuts = read_mixed({name: tmp_path / f"{name}.jsonl.gz" for name in "ab"})
    assert [read_field(cut, "corpus") for cut in cuts] == ["a", "b"]


@pytest.mark.parametrize(
    ("compose", "message"),
    [
        (
            {"gendr": {"f": 1.0}},
            r"No row has anything in the field 'gendr' of data\.compose\.gendr; there are: gender\.",
        ),
        ({"gender": {"fem": 0.5, "m": 0.5}}, r"wants a share of 0\.5 for 'fem', of which no row can be used\. "),
        ({"gender": {"f": 0.5, "m": 0.4, "*": 0.1}}, r"No row that can be used is of gender=\*.* share of 0\.1"),
    ],
)
def test_what_no_row_has_is_named(rows, compose, message):
    with pytest.raises(ManifestError, match=message):
        EpochDraws(rows("a", {"f": (4, 800), "m": (6, 800)}), LoaderConfig(compose=compose), seed=0)


def test_a_combination_that_no_row_has_is_named(rows):
    made = Composition({"gender": {"f": 0.5, "m": 0.5}, "language": {"*": 1.0}})
    assert made.group_of(rows("a", {"f": (1, 800)})[0]) == ("f", "*")
    with pytest.raises(ManifestError, match="of which no row can be used"):
        made.check({("f", "*"): [0]})


def test_settings_that_make_no_sense(rows, tmp_path):
    with pytest.raises(ConfigError, match=r"The shares of data\.compose\.gender add up to 0\.9 \(0\.5 \+ 0\.4\)"):
        LoaderConfig(compose={"gender": {"f": 0.5, "m": 0.4}})
    with pytest.raises(ConfigError, match=r"The shares of data\.mix add up to 1\.5"):
        PretrainData(mix={"a": 0.5, "b": 1.0})
    with pytest.raises(ConfigError, match=r"data\.balance and shares both say"):
        PretrainData(mix={"a": 0.5, "b": 0.5}, balance="speaker")
    check_shares({"a": 0.333, "b": 0.333, "c": 0.333}, "data.mix")
    same = rows("a", {"f": (1, 800)})
    write_manifests({"one": same, "two": same}, tmp_path)
    data = PretrainData(dir=str(tmp_path), mix={"one.jsonl.gz": 0.5, "two.jsonl.gz": 0.5})
    with pytest.raises(ManifestError, match=r"Row a-f0 is in one\.jsonl\.gz and in two\.jsonl\.gz"):
        list(data.rows("train"))
    with pytest.raises(ManifestError, match="There is no .*none"):
        PretrainData(dir=str(tmp_path), mix={"none.jsonl.gz": 1.0}).rows("train")
