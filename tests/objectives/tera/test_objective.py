"""TERA's alteration and loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.tera import draw, speech_like

from audiossl import Batch, Upstream, check_objective, load_objective, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Position
from audiossl.encoders.testing import noise, pad
from audiossl.nn.draws import keyed_generator
from audiossl.objectives.tera.objective import (
    AlterationConfig,
    Altered,
    EncoderOfFrames,
    TeraObjective,
    alter,
    choose_blocks,
)
from audiossl.objectives.tera.views import contrastive_loss

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32, "dropout": 0.0, "attention_dropout": 0.0}


def alter_one(x: torch.Tensor, config: AlterationConfig, seed: int) -> Altered:
    """One utterance (T, F), altered as a batch of one."""
    made = alter(x[None], torch.tensor([len(x)]), config, [draw(seed)])
    return Altered(made.inputs[0], made.chosen[0])


@pytest.mark.parametrize("num_frames", [20, 100, 777])
def test_blocks_are_as_many_and_as_long_as_published(num_frames: int) -> None:
    rows = choose_blocks(num_frames, 0.15, 7, draw(0)).view(-1, 7)
    assert len(rows) == round(num_frames * 0.15 / 7)
    assert torch.equal(rows - rows[:, :1], torch.arange(7).expand_as(rows))
    starts = rows[:, 0].tolist()
    assert len(set(starts)) == len(starts)
    assert all(0 <= start <= num_frames - 7 - 1 for start in starts)


@pytest.mark.parametrize("num_frames", [1, 7, 8])
def test_short_utterances_are_no_error(num_frames: int) -> None:
    altered = alter_one(speech_like(num_frames), AlterationConfig(time=0.9), 0)
    assert altered.inputs.shape == (num_frames, 80)


def test_shares_of_zeroed_replaced_and_left() -> None:
    config = AlterationConfig(frequency=0.0)
    x = speech_like(100)
    kinds = {"zeroed": 0, "replaced": 0, "left": 0}
    for seed in range(1000):
        inputs, chosen = alter_one(x, config, seed)
        rows = chosen.any(1)
        assert torch.equal(inputs[~rows], x[~rows])
        if bool((inputs[rows] == 0).all()):
            kinds["zeroed"] += 1
        elif torch.equal(inputs, x):
            kinds["left"] += 1
        else:
            kinds["replaced"] += 1
            frames = {tuple(frame.tolist()) for frame in x}
            assert all(tuple(frame.tolist()) in frames for frame in inputs[rows])
    assert kinds["zeroed"] == pytest.approx(800, abs=45)
    assert kinds["replaced"] == pytest.approx(100, abs=35)
    assert kinds["left"] == pytest.approx(100, abs=35)


def test_band_is_zero_in_every_frame_and_chosen() -> None:
    config = AlterationConfig(time=0.0, frequency=0.2)
    widths = []
    for seed in range(400):
        inputs, chosen = alter_one(speech_like(50), config, seed)
        band = (inputs == 0).all(0)
        assert torch.equal(band, chosen.all(0))
        assert torch.equal(chosen.any(0), chosen.all(0))
        where = band.nonzero().flatten()
        assert len(where) == 0 or int(where[-1] - where[0]) + 1 == len(where)
        widths.append(len(where))
    assert set(widths) == set(range(17))  # 0 .. int(80 x 0.2)


def test_magnitude_alone_takes_the_loss_on_everything() -> None:
    _, chosen = alter_one(speech_like(30), AlterationConfig(time=0.0, frequency=0.0), 0)
    assert bool(chosen.all())


def test_each_utterance_of_a_batch_is_altered_as_it_is_alone() -> None:
    items = [speech_like(count) for count in (40, 7, 90)]
    x = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    for seed in range(20):  # about two of them replaced
        config = AlterationConfig(time=0.4)
        made = alter(x, torch.tensor([40, 7, 90]), config, [draw(seed + each) for each in range(3)])
        for item, sound in enumerate(items):
            alone = alter_one(sound, config, seed + item)
            assert torch.equal(made.inputs[item, : len(sound)], alone.inputs)
            assert torch.equal(made.chosen[item, : len(sound)], alone.chosen)
            assert not made.chosen[item, len(sound) :].any()
            assert torch.equal(made.inputs[item, len(sound) :], x[item, len(sound) :])


def pretraining(**settings: float) -> tuple[TeraObjective, Batch]:
    tera = load_upstream("tera", weights="random", **TINY)
    wavs, lengths = pad(noise(tera, [0.6, 0.4]))
    return TeraObjective(tera, AlterationConfig(**settings)), Batch(wavs, lengths, (), Position(0, 3))  # type: ignore[arg-type]


def test_loss_is_the_mean_error_where_it_was_altered() -> None:
    task, batch = pretraining(magnitude=0.0)
    task.eval()
    loss = task.loss(batch)
    clean, inputs, chosen, frames = task._altered(batch)
    made = task._reconstruct(inputs, frames)
    assert float(loss.total.detach()) == pytest.approx(float((made - clean)[chosen].abs().mean().detach()), rel=1e-5)
    assert int(loss.weight) == int(chosen.sum())


def test_noise_is_added_to_the_whole_batch_or_not_at_all() -> None:
    task, batch = pretraining(time=0.0, frequency=0.0, magnitude=1.0, noise_std=0.2)
    clean, inputs, _, _ = task._altered(batch)
    assert float((inputs - clean).std()) == pytest.approx(0.2, rel=0.05)
    task, batch = pretraining(time=0.0, frequency=0.0, magnitude=0.0)
    clean, inputs, _, _ = task._altered(batch)
    assert torch.equal(clean, inputs)


def test_validation_alters_the_same_sound_in_the_same_way() -> None:
    task, batch = pretraining()
    task.eval()
    assert float(task.loss(batch).total) == float(task.loss(batch).total)
    task.train()
    moved = Batch(batch.wavs, batch.lengths, (), Position(1, 3))
    assert float(task.loss(batch).total) != float(task.loss(moved).total)


def test_statistics_are_those_of_all_frames() -> None:
    tera = load_upstream("tera", weights="random", normalize="global", **TINY)
    task = TeraObjective(tera)
    assert task.needs_fit
    wavs = noise(tera, [0.5, 0.3, 0.7])
    batches = [Batch(*pad(wavs[:2])), Batch(*pad(wavs[2:]))]
    task.fit(batches)
    assert not task.needs_fit
    every = [tera.local_features(wav[None], torch.tensor([len(wav)]), normalized=False)[0] for wav in wavs]
    frames = torch.cat(every)
    torch.testing.assert_close(tera.feature_mean, frames.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(tera.feature_std, frames.std(0, correction=0), rtol=1e-3, atol=1e-4)


def test_it_asks_for_what_its_protocol_says_and_for_nothing_that_every_encoder_has() -> None:
    declared = {name for name in vars(EncoderOfFrames) if not name.startswith("_")} | set(
        EncoderOfFrames.__annotations__
    )
    assert declared == set(TeraObjective.needs)
    assert not [name for name in TeraObjective.needs if hasattr(Upstream, name)]


def test_an_encoder_without_what_it_asks_for_is_an_error_with_a_fix() -> None:
    with pytest.raises(
        ConfigError, match=r"^Objective 'tera' needs an encoder with num_features, .*'log_mel' has none of"
    ):
        load_objective("tera", load_upstream("log_mel"))
    half = load_upstream("log_mel")
    for name in TeraObjective.needs[:-1]:
        setattr(half, name, None)
    with pytest.raises(ConfigError, match=r"has no set_statistics; pre-train audio_albert or mockingjay or tera\.$"):
        load_objective("tera", half)


def test_any_encoder_with_the_facts_will_do() -> None:
    """Not only Tera: no family is imported, what counts is what an encoder has."""

    class Other(Upstream):
        sample_rate_hz, stride, receptive_field, widths = 16000, 160, 400, (12, 12)
        num_features, norm_eps, needs_statistics = 5, 1e-5, False

        def __init__(self) -> None:
            super().__init__()
            self.project = torch.nn.Linear(5, 12)

        def local_features(self, wavs: torch.Tensor, lengths: torch.Tensor, *, normalized: bool = True) -> torch.Tensor:
            return wavs.unfold(1, 400, 160)[..., :5] * 10

        def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
            raise AssertionError("it needs none")

        def embed(self, x: torch.Tensor) -> torch.Tensor:
            return self.project(x)

        def contextualize(
            self, x: torch.Tensor, frames: torch.Tensor, last: int, *, first_position: int = 0
        ) -> list[torch.Tensor]:
            return [x] * (last + 1)

        def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
            return self.contextualize(self.embed(self.local_features(wavs, lengths)), self.num_frames(lengths), last)

    check_objective(load_objective("tera", Other(), magnitude=0.0))


def test_a_few_steps_lower_the_loss() -> None:
    task, batch = pretraining(magnitude=0.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = task.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.9 * losses[0]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    task, batch = pretraining()
    task.eval()
    (path,) = task.snapshot(batch, tmp_path).values()
    assert path.stat().st_size > 10_000


def test_long_items_have_a_view_in_each_half_and_short_ones_anywhere() -> None:
    task, _ = pretraining(contrast=1.0, channel_std=0.0, apart_s=1.0, longest_view_s=0.4)
    frames = torch.tensor([100, 99])
    x = torch.arange(200.0).view(2, 100, 1).expand(2, 100, 80)  # a frame's value is its number, plus 100 an item
    crossed = 0
    for epoch in range(50):
        draws = [keyed_generator(epoch, name, view) for view in "ab" for name in ("long", "short")]
        views, lengths = task._views(x, frames, draws)
        assert int(lengths.max()) <= 40
        ends = [(float(v[0, 0]), float(v[n - 1, 0])) for v, n in zip(views, lengths, strict=True)]
        assert ends[0][1] < 50 <= ends[2][0]
        assert all(first >= 100 and last < 199 for first, last in (ends[1], ends[3]))
        crossed += ends[1][1] >= 149
    assert crossed > 10


def test_contrast_is_off_by_default_and_adds_two_views_an_item() -> None:
    task, batch = pretraining(magnitude=0.0)
    assert task.config.contrast == 0
    assert len(task._altered(batch)[0]) == 2
    task, batch = pretraining(magnitude=0.0, contrast=0.5)
    clean, inputs, _, frames = task._altered(batch)
    assert clean.shape == inputs.shape
    assert len(clean) == len(frames) == 4
    assert int(frames.max()) == clean.shape[1]
    loss = task.loss(batch)
    expected = loss.logs["reconstruction"] + 0.5 * loss.logs["contrast"]
    assert float(loss.total.detach()) == pytest.approx(float(expected), rel=1e-6)


def test_padding_does_not_change_the_contrast() -> None:
    task, batch = pretraining(magnitude=0.0, contrast=1.0)
    task.eval()
    _, inputs, _, frames = task._altered(batch)
    states = task._encode(inputs, frames)
    alone = [task._encode(x[None, :n], n[None])[0].mean(0) for x, n in zip(inputs, frames, strict=True)]
    expected = contrastive_loss(torch.stack(alone), task.config.temperature)
    assert states.shape[1] > int(frames.min())  # there is padding
    assert float(task.loss(batch).logs["contrast"]) == pytest.approx(float(expected), rel=1e-4)


def test_views_and_their_alterations_differ() -> None:
    task, batch = pretraining(magnitude=0.0, contrast=1.0)
    first, second = task._altered(batch)[2].chunk(2)
    assert not torch.equal(first, second)
    assert all(map(torch.equal, task._altered(batch), task._altered(batch)))


def test_a_few_steps_bring_two_views_together() -> None:
    task, batch = pretraining(magnitude=0.0, contrast=1.0)
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    contrasts = []
    for _ in range(30):
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        contrasts.append(float(loss.logs["contrast"]))
    assert contrasts[-1] < 0.8 * contrasts[0]
