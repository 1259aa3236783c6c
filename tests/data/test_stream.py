"""The order of batches: every row once an epoch, limits kept, one stream for any number of processes and restarts."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from itertools import combinations, islice
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.types import Position
from audiossl.data.config import LoaderConfig
from audiossl.data.stream import BatchStream, StreamPlan

RATE = 1000


def rows_lasting(lengths, path="none.wav"):
    cuts = []
    for number, num_samples in enumerate(lengths):
        recording = Recording(
            f"r{number}", [AudioSource("file", [0], str(path))], RATE, num_samples, num_samples / RATE
        )
        cuts.append(
            MonoCut(
                f"c{number:03}", start=0.0, duration=recording.duration, channel=0, recording=recording, supervisions=[]
            )
        )
    return CutSet.from_cuts(cuts)


corpora = st.lists(st.integers(50, 3000), min_size=1, max_size=60).map(rows_lasting)
configs = st.builds(
    LoaderConfig,
    batch_size=st.one_of(st.just(7), st.integers(1, 20)),
    max_duration_s=st.one_of(st.none(), st.floats(3.0, 30.0)),
    num_buckets=st.integers(1, 6),
    pool_size=st.integers(1, 80),
)


def training(config, **options):
    """The plan of a training that is alone and starts anew, where `options` say nothing else."""
    return StreamPlan(config, **{"sample_rate_hz": RATE, "train": True, **options})


def ids(items):
    return [(item.position, [cut.id for cut in item.cuts]) for item in items]


@settings(max_examples=60, deadline=None)
@given(corpora, configs, st.booleans())
def test_every_row_once_an_epoch_within_the_limits(cuts, config, shuffle):
    stream = BatchStream(cuts, training(config, train=shuffle))
    epochs: dict[int, list] = {0: [], 1: []}
    for item in stream:
        if item.position.epoch == 2:
            break
        assert item.position.batch == len(epochs[item.position.epoch])
        epochs[item.position.epoch].append(item.cuts)
    for batches in epochs.values() if shuffle else [epochs[0]]:
        assert sorted(cut.id for batch in batches for cut in batch) == [cut.id for cut in cuts]
        for batch in batches:
            assert 0 < len(batch) <= config.batch_size
            if config.max_duration_s is not None:
                assert len(batch) * max(cut.duration for cut in batch) <= config.max_duration_s
    assert shuffle or not epochs[1]


@settings(max_examples=40, deadline=None)
@given(corpora, configs, st.integers(1, 4), st.booleans())
def test_the_processes_share_one_stream(cuts, config, world_size, shuffle):
    def stream(rank, world_size):
        return BatchStream(cuts, training(config, seed=3, rank=rank, world_size=world_size, train=shuffle))

    num_items = 5 * world_size
    alone = ids(islice(stream(0, 1), num_items))
    shares = [ids(islice(stream(rank, world_size), 5)) for rank in range(world_size)]
    for number, item in enumerate(alone):
        assert shares[number % world_size][number // world_size] == item
    assert sum(map(len, shares)) == len(alone)


@settings(max_examples=40, deadline=None)
@given(corpora, configs, st.integers(0, 40), st.integers(1, 3))
def test_a_resumed_stream_is_the_uninterrupted_one(cuts, config, stop, world_size):
    whole = ids(islice(BatchStream(cuts, training(config, seed=5)), stop + 1 + 4 * world_size))
    start = whole[stop][0]
    for rank in range(world_size):
        resumed = BatchStream(cuts, training(config, seed=5, rank=rank, world_size=world_size, start=start))
        assert ids(islice(resumed, 4)) == whole[stop + 1 + rank :: world_size][:4]


def test_the_stream_is_shuffled_by_seed_and_epoch():
    cuts, config = rows_lasting([500 + number % 9 for number in range(200)]), LoaderConfig(batch_size=8)

    def first_ids(seed, epoch):
        items = islice(BatchStream(cuts, training(config, seed=seed, start=Position(epoch, -1))), 25)
        return [cut.id for item in items for cut in item.cuts]

    assert first_ids(0, 0) == first_ids(0, 0)
    orders = {tuple(first_ids(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_long_and_short_batches_are_mixed():
    cuts, config = rows_lasting([500 + 10 * number for number in range(200)]), LoaderConfig(batch_size=8)
    orders = []
    for epoch in (0, 1):
        items = islice(BatchStream(cuts, training(config, start=Position(epoch, -1))), 25)
        means = [sum(cut.num_samples for cut in item.cuts) / len(item.cuts) for item in items]
        orders.append([mean > 1500 for mean in means])
        assert 2 <= sum(orders[-1][:12]) <= 10
    assert orders[0] != orders[1]


def test_a_pool_leaves_no_partial_batch():
    stream = BatchStream(rows_lasting([500] * 100), training(LoaderConfig(batch_size=8, pool_size=20)))
    sizes = [len(item.cuts) for item in islice(stream, 13)]
    assert sorted(sizes) == [4] + [8] * 12


def test_grouping_by_length_saves_padding():
    lengths = np.random.default_rng(0).integers(100, 3000, 400).tolist()

    def padding(num_buckets):
        config = LoaderConfig(batch_size=8, num_buckets=num_buckets)
        batches = [item.cuts for item in islice(BatchStream(rows_lasting(lengths), training(config)), 50)]
        padded = sum(len(cuts) * max(cut.duration for cut in cuts) for cuts in batches)
        return 1 - sum(cut.duration for cuts in batches for cut in cuts) / padded

    assert padding(10) < 0.1
    assert padding(1) > 0.3


def test_short_rows_are_counted_or_refused(caplog):
    cuts = rows_lasting([100, 900, 200, 800])
    with caplog.at_level(logging.WARNING, logger="audiossl"):
        stream = BatchStream(cuts, training(LoaderConfig(batch_size=9, min_duration_s=0.5)))
    assert "2 rows shorter than 0.5 s are left out" in caplog.text
    assert sorted(cut.id for cut in next(iter(stream)).cuts) == ["c001", "c003"]
    evaluated = BatchStream(cuts, training(LoaderConfig(batch_size=9, min_duration_s=0.5), train=False))
    assert len(next(iter(evaluated)).cuts) == 4  # evaluation leaves nothing out
    with pytest.raises(ManifestError, match=r"Row c000 \(none\.wav\) lasts 0\.1 s, too short"):
        BatchStream(cuts, training(LoaderConfig(), min_samples=150))
    with pytest.raises(ManifestError, match="No row of the manifest is left"):
        BatchStream(cuts, training(LoaderConfig(min_duration_s=5)))


def test_rows_that_no_batch_can_hold():
    with pytest.raises(ManifestError, match=r"Row c001 .* lasts 9 s, longer than max_duration_s=5"):
        BatchStream(rows_lasting([100, 9000]), training(LoaderConfig(max_duration_s=5)))
    cuts = rows_lasting([100, 9000])
    stream = BatchStream(cuts, training(LoaderConfig(max_duration_s=5, max_crop_s=2)))
    assert {cut.duration for cut in next(iter(stream)).cuts} == {0.1, 2.0}
    twice = CutSet(list(cuts) + list(cuts))
    with pytest.raises(ManifestError, match="two rows with the id c000"):
        BatchStream(twice, training(LoaderConfig()))


def labelled(counts):
    """Rows with as many of each label as `counts` says; the label None is no label."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    cuts = list(rows_lasting([500 + 10 * number for number in range(len(labels))]))
    for cut, label in zip(cuts, labels, strict=True):
        custom = {"label": label} if label else None
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, custom=custom)]
    return CutSet.from_cuts(cuts)


def epochs_of(cuts, config, count, **place):
    stream, found = BatchStream(cuts, training(config, seed=3, **place)), [[] for _ in range(count)]
    for item in stream:
        if item.position.epoch == count:
            return found
        found[item.position.epoch] += item.cuts
    return found


def test_balanced_training_draws_every_label_equally_often():
    cuts = labelled({"rare": 3, "common": 40, "usual": 17})
    first, second = epochs_of(cuts, LoaderConfig(batch_size=7, balance="label", pool_size=20), 2)
    for epoch in (first, second):
        uses = Counter(cut.id for cut in epoch)
        drawn = Counter(cut.supervisions[0].custom["label"] for cut in epoch)
        assert len(epoch) == 60
        assert set(drawn.values()) == {20}
        rare = [count for name, count in uses.items() if name in {"c000", "c001", "c002"}]
        assert sorted(rare) == [6, 7, 7]  # no row comes again before all others of its label did
    assert [cut.id for cut in first] != [cut.id for cut in second]
    assert {cut.id for cut in first} != {cut.id for cut in second}


def test_a_balanced_stream_resumes_and_dev_is_not_balanced():
    cuts, config = labelled({"a": 4, "b": 20}), LoaderConfig(batch_size=5, balance="label")
    whole = ids(islice(BatchStream(cuts, training(config)), 12))
    resumed = BatchStream(cuts, training(config, start=whole[4][0]))
    assert ids(islice(resumed, 7)) == whole[5:]
    assert sum(len(item.cuts) for item in BatchStream(cuts, training(config, train=False))) == 24


def test_a_row_that_is_drawn_twice_is_cropped_elsewhere():
    cuts = labelled({"a": 1, "b": 30})
    config = LoaderConfig(batch_size=8, balance="label", max_crop_s=0.2)
    (epoch,) = epochs_of(cuts, config, 1)
    starts = [cut.start for cut in epoch if cut.id == "c000"]
    assert len(starts) >= 15
    assert len(set(starts)) > len(starts) // 2


def test_a_row_without_the_field_to_balance_by_is_named():
    with pytest.raises(ManifestError, match=r"Row c002 has nothing in the field 'label'.*data\.balance"):
        next(iter(BatchStream(labelled({"a": 2, None: 1}), training(LoaderConfig(balance="label")))))


def test_speeds_are_drawn_anew_in_every_epoch_and_again_after_a_restart():
    config = LoaderConfig(batch_size=4, speeds=[0.8, 1.0, 1.25])
    cuts = rows_lasting([1000] * 40)

    def drawn(items):
        return [{cut.id: cut.num_samples for cut in item.cuts} for item in items]

    whole = list(islice(BatchStream(cuts, training(config)), 20))
    first, second = ({k: v for each in drawn(part) for k, v in each.items()} for part in (whole[:10], whole[10:]))
    assert set(first) == set(second) and first != second
    assert set(first.values()) == {1250, 1000, 800}
    again = islice(BatchStream(cuts, training(config, start=whole[6].position)), 13)
    assert drawn(again) == drawn(whole[7:])
    dev = [cut.num_samples for item in BatchStream(cuts, training(config, train=False)) for cut in item.cuts]
    assert dev == [1000] * 40


def test_rows_too_short_or_long_at_some_speed_are_named_before_training():
    cuts = rows_lasting([1000, 2000])
    fast = LoaderConfig(batch_size=2, speeds=[1.0, 1.25])
    with pytest.raises(ManifestError, match=r"c000 .* lasts 0.8 s at speed 1.25, too short for this encoder"):
        BatchStream(cuts, training(fast, min_samples=900))
    BatchStream(cuts, training(fast, min_samples=900, train=False))
    slow = LoaderConfig(max_duration_s=2.2, speeds=[0.8])
    with pytest.raises(ManifestError, match=r"c001 .* lasts 2.5 s at speed 0.8, longer than max_duration_s=2.2"):
        BatchStream(cuts, training(slow))


def test_a_plan_of_an_encoder_takes_its_rate_and_its_shortest_sound():
    encoder, config = (
        SimpleNamespace(sample_rate_hz=8000, min_samples=400, max_samples=None),
        LoaderConfig(batch_size=4),
    )
    assert StreamPlan.of(encoder, config) == StreamPlan(config, sample_rate_hz=8000, min_samples=400)
    plan = StreamPlan.of(encoder, config, seed=5, train=True)
    assert (plan.seed, plan.train, plan.start, plan.rank, plan.world_size) == (5, True, None, 0, 1)
    assert plan.shortest_s == 399.5 / 8000
    with pytest.raises(ManifestError, match=r"Row c000 .* lasts 0\.049 s, too short"):
        BatchStream(rows_lasting([49]), plan)
    BatchStream(rows_lasting([50]), plan)


def test_a_plan_at_a_place_differs_in_nothing_else():
    plan = training(LoaderConfig(batch_size=4), seed=5, min_samples=20)
    there = plan.at(Position(1, 2), 2, 3)
    assert (there.start, there.rank, there.world_size) == (Position(1, 2), 2, 3)
    assert there.at(None, 0, 1) == plan
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.seed = 6


@pytest.mark.parametrize(("rank", "world_size"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_that_is_none_is_refused(rank, world_size):
    with pytest.raises(ValueError, match=f"rank={rank} must be from 0 to world_size - 1 = {world_size - 1}"):
        training(LoaderConfig()).at(None, rank, world_size)


def test_a_crop_below_the_shortest_sound_is_refused_in_training_alone():
    config = LoaderConfig(max_crop_s=0.01)
    with pytest.raises(ConfigError, match=r"max_crop_s=0.01 is below the 20 samples at 1000 Hz .* at least 0.02"):
        training(config, min_samples=20)
    assert training(config, min_samples=10).config is config
    evaluation = training(config, min_samples=20, train=False)
    assert next(iter(BatchStream(rows_lasting([300]), evaluation))).cuts[0].num_samples == 300  # nothing is cropped
    with pytest.raises(ConfigError, match=r"max_crop_s"):
        dataclasses.replace(evaluation, train=True)


def test_the_order_is_that_of_earlier_versions():
    """A run that began with one version goes on with the next: the order of its batches must not change."""
    config = LoaderConfig(batch_size=3, num_buckets=2, max_crop_s=0.2, speeds=[0.8, 1.0, 1.25])
    items = list(islice(BatchStream(rows_lasting([100 + 40 * n for n in range(7)]), training(config, seed=4)), 3))
    found = [[(cut.id, round(cut.start * RATE), cut.num_samples) for cut in item.cuts] for item in items]
    assert found == [
        [("c005", 54, 200), ("c002", 24, 200), ("c000", 0, 80)],
        [("c001", 0, 140), ("c006", 76, 200), ("c003", 10, 200)],
        [("c004", 5, 200)],
    ]


def in_order_of_label(num_rows, num_labels, lasts=lambda number: 1000):
    """Rows in the order of their labels, which their ids begin with."""
    cuts = list(rows_lasting([lasts(number) for number in range(num_rows)]))
    for number, cut in enumerate(cuts):
        label = f"{number * num_labels // num_rows:03}"
        cut.id = f"{label}-{number:06}"
        cut.supervisions = [SupervisionSegment(cut.id, cut.id, 0, cut.duration, custom={"label": label})]
    return CutSet.from_cuts(cuts)


def labels_of(items):
    return [[cut.supervisions[0].custom["label"] for cut in item.cuts] for item in items]


def distance(batches, counts):
    """Total variation between the shares of labels in a batch and in the corpus, the mean over batches."""
    total, found = sum(counts.values()), []
    for batch in batches:
        drawn = Counter(batch)
        found.append(sum(abs(drawn[label] / len(batch) - count / total) for label, count in counts.items()) / 2)
    return np.mean(found)


def of_random_batches(counts, batch_size, num_batches=400):
    flat, rng = [label for label, count in counts.items() for _ in range(count)], np.random.default_rng(0)
    return distance([[flat[n] for n in rng.permutation(len(flat))[:batch_size]] for _ in range(num_batches)], counts)


def test_batches_of_rows_that_last_alike_have_the_labels_of_random_ones():
    # As in ESC-10: ten labels, nearly all rows of one length, ids that begin with the label.
    cuts = in_order_of_label(200, 10, lambda number: 1000 if number % 30 else 990 - number)
    counts, config = Counter({f"{label:03}": 20 for label in range(10)}), LoaderConfig(batch_size=20)
    items = list(islice(BatchStream(cuts, training(config)), 200))
    assert abs(distance(labels_of(items), counts) - of_random_batches(counts, 20)) < 0.02
    # Two rows that share a batch share the next epoch's as often as chance has it: 19 of 199.
    assert 0.07 < rows_together_again(items) < 0.12


def rows_together_again(items):
    """Of two rows of a batch, how often they share one of the next epoch."""
    places = [
        {cut.id: item.position.batch for item in items if item.position.epoch == e for cut in item.cuts} for e in (0, 1)
    ]
    pairs = [(a, b) for a, b in combinations(places[0], 2) if places[0][a] == places[0][b]]
    return np.mean([places[1][a] == places[1][b] for a, b in pairs])


def check_mixed(num_rows, pool_size, num_batches):
    """Batches of a manifest in order of a hundred labels are those of a random order, from the first to the last."""
    counts = Counter({f"{label:03}": num_rows // 100 for label in range(100)})
    cuts = in_order_of_label(num_rows, 100, lambda number: 1000 if number % 10 else 500 + number % 97)
    stream = BatchStream(cuts, training(LoaderConfig(batch_size=32, pool_size=pool_size)))
    items = list(islice(stream, num_rows // 32 + 2))
    assert sorted(cut.id for item in items if not item.position.epoch for cut in item.cuts) == [c.id for c in cuts]
    for part in (items[:num_batches], items[-num_batches - 2 : -2]):
        assert abs(distance(labels_of(part), counts) - of_random_batches(counts, 32)) < 0.02


def test_a_manifest_in_order_of_labels_gives_mixed_batches_beyond_the_pool():
    check_mixed(4000, 500, 50)


@pytest.mark.slow
def test_a_hundred_thousand_rows_in_order_of_labels_give_mixed_batches():
    check_mixed(100_000, LoaderConfig.pool_size, 1000)


def test_rows_beyond_the_pool_come_as_those_within_it():
    cuts = labelled({"a": 20, "b": 30})

    def drawn(pool_size):
        config = LoaderConfig(batch_size=4, pool_size=pool_size, max_crop_s=0.6, speeds=[0.9, 1.1], balance="label")
        return [(item.position, item.cuts) for item in islice(BatchStream(cuts, training(config)), 20)]

    assert drawn(10) == drawn(50)


def test_another_epoch_has_other_batches_and_keeps_rows_of_a_length_together():
    cuts = rows_lasting([300 + 5 * number for number in range(400)])
    items = list(islice(BatchStream(cuts, training(LoaderConfig(batch_size=8))), 100))
    assert rows_together_again(items) < 0.2  # 7 of 399 by chance, 1 of 1 in batches that never change
    spread = [max(lasting) / min(lasting) for lasting in ([cut.duration for cut in item.cuts] for item in items)]
    assert np.median(spread) < 1.5  # 3 to 8 without classes


def test_shards_in_order_are_shared_by_processes_and_resumed():
    digest = "0" * 32
    cuts = rows_lasting([500 + 7 * number for number in range(60)])
    for number, cut in enumerate(cuts):
        cut.recording.sources[0].source = f"/x/{number // 10}.tar#{512 * number + 512}+9:{digest}:{number}.flac"
    config = LoaderConfig(batch_size=None, max_duration_s=3.0, order="shards", window_shards=2)

    def stream(count, **place):
        return ids(islice(BatchStream(cuts, training(config, seed=3, **place)), count))

    whole = stream(60)
    epoch = [batch for position, batch in whole if position.epoch == 0]
    assert sorted(name for batch in epoch for name in batch) == [cut.id for cut in cuts]
    shards = [{int(name[1:]) // 10 for name in batch} for batch in epoch]
    order = [shard for batch in shards for shard in sorted(batch)]
    for shard in range(6):  # between the first and the last batch of a shard there are those of one other at most
        first, last = order.index(shard), len(order) - 1 - order[::-1].index(shard)
        assert len(set(order[first : last + 1])) <= 2
    one, two = stream(20, rank=0, world_size=2), stream(20, rank=1, world_size=2)
    assert [item for pair in zip(one, two, strict=True) for item in pair] == whole[:40]
    for stop in (0, 7, len(epoch) - 1, len(epoch) + 3):
        assert stream(5, start=whole[stop][0]) == whole[stop + 1 : stop + 6]
