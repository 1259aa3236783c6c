"""Speaker verification: padding changes no embedding; trials, enrolment, calibration, runs and `audiossl verify`."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut, SupervisionSegment
from lhotse.testing.dummies import dummy_recording
from matplotlib.image import imread
from torch import Tensor
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.config import as_dict, make, structured
from audiossl.core.errors import AudioError, AudiosslError, ConfigError, LabelError, ManifestError
from audiossl.core.files import read_jsonl
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.speaker_verification.heads import Ecapa, XVector
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import (
    all_pairs,
    listed_pairs,
    read_enrolment,
    read_trials,
    scores_of,
)
from audiossl.downstreams.speaker_verification.verify import verify
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train
from audiossl.metrics.verification import cllr, equal_error_rate
from audiossl.training.interface import load_interface

RATE = 16000
SPEAKERS = ("ann", "bob", "cem")
SMALL = {"projector_width": 8, "tdnn": [[8, 5, 1], [12, 3, 2]], "embedding_width": 6, "ecapa_channels": 16}
Config = SpeakerVerification.Config


class ToyUpstream(Upstream):
    """One layer of log energies in 8 bands; frames of 320 samples every 160."""

    def __init__(self) -> None:
        super().__init__()
        self.widths, self.stride, self.receptive_field = (8,), 160, 320

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        spectrum = torch.fft.rfft(wavs.unfold(1, 320, 160)).abs()[..., :160]
        return [spectrum.unflatten(-1, (8, 20)).sum(dim=-1).add(1e-3).log()]


def cut_of(number: int, speaker: str | None, duration_s: float = 0.5) -> MonoCut:
    name = f"item-{number}"
    segment = SupervisionSegment(name, name, 0, duration_s, speaker=speaker)
    recording = dummy_recording(number, duration=duration_s)
    return MonoCut(name, start=0, duration=duration_s, channel=0, recording=recording, supervisions=[segment])


def voice(speaker: int, seed: int, duration_s: float) -> np.ndarray:
    """Two tones that are the speaker's, with a level and a noise that are the recording's."""
    rng = np.random.default_rng([speaker, seed])
    own = np.random.default_rng(speaker)
    time_s = np.arange(int(duration_s * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * hz * time_s + rng.uniform(0, 6)) for hz in own.uniform(200, 6000, 2))
    sound = rng.uniform(0.05, 0.2) * tones + 0.003 * rng.standard_normal(len(time_s))
    return np.asarray(sound, dtype=np.float32)


def batch_of(num_items: int = 6, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    sounds = [torch.from_numpy(voice(row % 3, 100 * seed + row, rng.uniform(0.3, 0.6))) for row in range(num_items)]
    lengths = torch.tensor([len(sound) for sound in sounds])
    cuts = tuple(cut_of(row, SPEAKERS[row % 3], len(sound) / RATE) for row, sound in enumerate(sounds))
    return Batch(torch.nn.utils.rnn.pad_sequence(sounds, batch_first=True), lengths, cuts)


def toy_task(**options: Any) -> SpeakerVerification:
    torch.manual_seed(0)
    upstream = ToyUpstream()
    interface = load_interface("last", upstream.widths)
    task = make(SpeakerVerification, {"speakers": list(SPEAKERS), **SMALL, **options}, upstream, interface)
    assert isinstance(task, SpeakerVerification)
    return task


HEADS: list[dict[str, Any]] = [
    *({"head": "pooled", "pooling": name} for name in ("mean", "statistics", "attentive_statistics")),
    {"head": "xvector", "pooling": "statistics", "segment_layers": 2},
    {"head": "xvector", "pooling": "attentive_statistics", "norm": True},
    {"head": "ecapa"},
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def test_it_is_registered_with_its_command() -> None:
    assert DOWNSTREAMS.load("speaker_verification") is SpeakerVerification
    assert "verify" in DOWNSTREAMS.card("speaker_verification").commands


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_a_batch_equals_its_items_one_by_one(options: dict[str, Any]) -> None:
    task, batch = toy_task(**options).eval(), batch_of(5)
    together = task.embeddings(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = Batch(batch.wavs[row : row + 1, :length], batch.lengths[row : row + 1], batch.cuts[row : row + 1])
        for whole, part in zip(together, task.embeddings(alone), strict=True):
            torch.testing.assert_close(part[0], whole[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_padding_may_hold_anything(options: dict[str, Any]) -> None:
    head = toy_task(**options).eval().head
    x, lengths = torch.randn(3, 40, 8), torch.tensor([40, 21, 30])
    clean = head(x, lengths)[0]
    for row, length in enumerate(lengths.tolist()):
        x[row, length:] = 1e4
    torch.testing.assert_close(head(x, lengths)[0], clean)


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_loss_is_a_mean_over_items_so_that_batches_add_up(options: dict[str, Any]) -> None:
    task, batch = toy_task(**options).eval(), batch_of(7)
    whole = task.loss(batch)
    total = 0.0
    for rows in (slice(0, 3), slice(3, 7)):
        part = task.loss(Batch(batch.wavs[rows], batch.lengths[rows], batch.cuts[rows]))
        total += part.total.item() * part.weight.item()
    assert float(whole.weight) == 7
    assert total / 7 == pytest.approx(whole.total.item(), rel=1e-4)


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_gradient_reaches_every_parameter_of_the_head(options: dict[str, Any]) -> None:
    task = toy_task(**options).train()
    task.loss(batch_of()).total.backward()
    for name, parameter in task.named_parameters():
        # Biases before a batch normalisation or a softmax over time have no effect.
        if not name.endswith("bias"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_the_published_head_has_its_sizes() -> None:
    config = structured(Config, read_experiment(None, ["downstream=speaker_verification", "setting=superb"]).task)
    task = make(
        SpeakerVerification,
        {**as_dict(config), "speakers": [str(number) for number in range(1211)]},
        ToyUpstream(),
        load_interface("last", (768,)),
    )
    shapes = {name: tuple(value.shape) for name, value in task.head.state_dict().items() if name.endswith("weight")}
    assert shapes == {
        "projector.weight": (512, 768),
        "layers.0.weight": (512, 512, 5),
        "layers.1.weight": (512, 512, 3),
        "layers.2.weight": (512, 512, 3),
        "layers.3.weight": (512, 512, 1),
        "layers.4.weight": (1500, 512, 1),
        "segment.weight": (512, 3000),
        "second.weight": (512, 512),
    }
    assert task.criterion.weight.shape == (1211, 512)
    assert task.head.min_frames == 15
    assert (config.loss, config.margin, config.scale) == ("am", 0.4, 30.0)


def test_x_vector_equals_frames_one_by_one() -> None:
    """Each time-delay layer is a linear layer on the frames of its context."""
    torch.manual_seed(0)
    head = XVector(3, [[4, 3, 2]], projector_width=None, pooling="mean", embedding_width=5)
    x = torch.randn(1, 9, 3)
    (layer,) = head.layers
    assert isinstance(layer, torch.nn.Conv1d)
    frames = [
        torch.nn.functional.linear(x[0, [t, t + 2, t + 4]].T.flatten(), layer.weight.flatten(1), layer.bias).relu()
        for t in range(5)
    ]
    assert head.min_frames == 5
    expected = head.segment(torch.stack(frames).mean(dim=0))
    torch.testing.assert_close(head(x, torch.tensor([9]))[0][0], expected)


def test_ecapa_statistics_see_no_padding_in_training() -> None:
    """A short item is repeated to the longest; its padding changes neither embeddings nor running statistics."""
    torch.manual_seed(0)
    head = Ecapa(8, 16, 6).train()
    x, lengths = torch.randn(2, 24, 8), torch.tensor([24, 10])
    repeated = torch.stack([x[0], x[1, :10].repeat(3, 1)[:24]])
    state = {name: value.clone() for name, value in head.state_dict().items()}
    expected = head(repeated, torch.tensor([24, 24]))[0]
    after = {name: value.clone() for name, value in head.state_dict().items()}
    head.load_state_dict(state)
    torch.testing.assert_close(head(x, lengths)[0], expected)
    for name, value in head.state_dict().items():
        torch.testing.assert_close(value, after[name])


def test_ecapa_trains_on_a_batch_of_one() -> None:
    head = Ecapa(8, 16, 6).train()
    head(torch.randn(1, 20, 8), torch.tensor([20]))[0].sum().backward()
    assert head.model.training
    assert all(module.training for module in head.modules())


def test_wrong_sizes_are_errors() -> None:
    for options, named in (
        ({"tdnn": [[8, 5]]}, "three numbers"),
        ({"segment_layers": 3}, "segment_layers=3"),
        ({"head": "ecapa", "ecapa_channels": 12}, "multiple of 8"),
        ({"speakers": ["ann"]}, "at least two"),
        ({"pooling": "medain"}, "median|mean"),
    ):
        with pytest.raises(ConfigError, match=named):
            toy_task(**options)


def test_half_precision_features_and_autocast_stay_finite() -> None:
    for options in HEADS:
        task, batch = toy_task(**options).train(), batch_of()
        with torch.autocast("cpu", torch.bfloat16):
            loss = task.loss(batch).total
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(p.grad.isfinite().all() for p in task.parameters() if p.grad is not None)


def test_margin_grows_with_the_steps_and_follows_from_their_number() -> None:
    task = toy_task(margin=0.4, margin_warmup_steps=10)
    found = []
    for step in (0, 5, 10, 99, 5):
        task.begin_step(step)
        found.append(task.criterion.margin)
    assert found == pytest.approx([0.0, 0.2, 0.4, 0.4, 0.2])


def test_only_the_pooled_mean_commutes_with_the_mean() -> None:
    assert toy_task(head="pooled", pooling="mean").commutes_with_mean
    assert not toy_task(head="pooled", pooling="statistics").commutes_with_mean
    assert not toy_task(head="xvector", pooling="mean").commutes_with_mean


# Trials


def written(folder: Path, text: str, name: str = "trials.txt") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def test_lists_in_both_forms(tmp_path: Path) -> None:
    voxceleb = read_trials(written(tmp_path, "1 a b\n\n0 a c\n"))
    kaldi = read_trials(written(tmp_path, "a b target\na c nontarget\n", "kaldi"))
    assert [trial[:3] for trial in voxceleb] == [trial[:3] for trial in kaldi] == [(True, "a", "b"), (False, "a", "c")]
    assert voxceleb[1].where.endswith("trials.txt line 3")


@pytest.mark.parametrize(
    ("text", "named"),
    [("1 a b\n2 a b\n", "line 2 is not a trial: '2 a b'"), ("1 a\n", "line 1 is not a trial"), (" \n", "is empty")],
)
def test_wrong_lines_are_named(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=named):
        read_trials(written(tmp_path, text))


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"The trial list .*nothing.txt cannot be read \(No such file"):
        read_trials(tmp_path / "nothing.txt")
    (tmp_path / "audio.bin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ManifestError, match="not a text file"):
        read_trials(tmp_path / "audio.bin")
    with pytest.raises(ManifestError, match="line 1 has no recording for the model 'm'"):
        read_enrolment(written(tmp_path, "m\n", "e"))
    with pytest.raises(ManifestError, match=r"line 2 enrols 'm' again .*line 1"):
        read_enrolment(written(tmp_path, "m a\nm b\n", "e"))
    with pytest.raises(ManifestError, match=r"nothing.txt cannot be read"):  # before any training
        SpeakerVerification.complete(Config(trials={"test": str(tmp_path / "nothing.txt")}), [])


def test_names_are_ids_with_or_without_suffix_or_paths(tmp_path: Path) -> None:
    ids, paths = ["x/1", "x/2", "y"], [str(tmp_path / "1.wav"), str(tmp_path / "2.wav"), None]
    trials = read_trials(written(tmp_path, f"1 x/1.wav x/2\n0 y {tmp_path}/2.wav\n"))
    pairs = listed_pairs(trials, {}, ids, paths, "test")
    assert [pairs.models[place] for place in pairs.enrol] == [[0], [2]]
    assert pairs.test.tolist() == [1, 1]
    assert pairs.target.tolist() == [True, False]
    trials = read_trials(written(tmp_path, "1 y y\n1 y z.wav\n"))
    with pytest.raises(ManifestError, match=r"trials.txt line 2 names 'z.wav', which is no item of test .*'x/1'"):
        listed_pairs(trials, {}, ids, paths, "test")
    both = [str(tmp_path / "1.wav")] * 2
    trials = read_trials(written(tmp_path, f"1 a {tmp_path}/1.wav\n"))
    with pytest.raises(ManifestError, match=r"line 1 names .*2 items of test are parts"):
        listed_pairs(trials, {}, ["a", "b"], both, "test")


def test_enrolment_is_the_mean_of_normalised_embeddings(tmp_path: Path) -> None:
    models = read_enrolment(written(tmp_path, "m a b\n", "models"))
    pairs = listed_pairs(read_trials(written(tmp_path, "1 m c\n0 a c\n")), models, ["a", "b", "c"], [None] * 3, "test")
    assert pairs.names == ["m", "a"]
    vectors = np.array([[10.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(scores_of(pairs, vectors), [1.0, np.sqrt(0.5)])
    wrong = read_enrolment(written(tmp_path, "m a q\n", "models"))
    trials = read_trials(written(tmp_path, "1 m c\n"))
    with pytest.raises(ManifestError, match=r"models line 1 names 'q'"):
        listed_pairs(trials, wrong, ["a", "b", "c"], [None] * 3, "test")


def test_cosine_of_a_zero_embedding_is_zero() -> None:
    pairs = all_pairs(["a", "b"], ["s", "s"], "dev", 10)
    assert scores_of(pairs, np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [0.0]


def test_all_pairs_and_their_bound() -> None:
    pairs = all_pairs(["a", "b", "c"], ["s", "t", "s"], "dev", 3)
    found = [(pairs.names[e], int(t), bool(same)) for e, t, same in zip(*pairs[2:], strict=True)]
    assert found == [("a", 1, False), ("a", 2, True), ("b", 2, False)]
    with pytest.raises(ConfigError, match=r"3 items of dev make 3 pairs, more than task.max_pairs=2"):
        all_pairs(["a", "b", "c"], ["s", "t", "s"], "dev", 2)
    with pytest.raises(LabelError, match=r"'b' of dev has no speaker"):
        all_pairs(["a", "b"], ["s", None], "dev", 9)


def test_splits_without_both_kinds_of_trials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = toy_task()
    with pytest.raises(LabelError, match="3 items of dev make no trials of both kinds, for no speaker has two"):
        task.check_split([cut_of(number, speaker) for number, speaker in enumerate("abc")], "dev")
    with pytest.raises(LabelError, match="for all are of one speaker"):
        task.check_split([cut_of(number, "a") for number in range(3)], "test")
    with caplog.at_level(logging.WARNING):
        task.check_split([cut_of(number, speaker) for number, speaker in enumerate("aabc")], "dev")
    assert "2 speakers of dev have one recording" in caplog.text
    listed = toy_task(trials={"test": written(tmp_path, "0 item-0 item-1\n0 item-1 item-0\n")})
    with pytest.raises(LabelError, match=r"All 2 trials of .*trials.txt are of two speakers"):
        listed.check_split([cut_of(0, "a"), cut_of(1, "b")], "test")
    with pytest.raises(ManifestError, match=r"line 1 names 'item-0', which is no item of test"):
        listed.check_split([cut_of(1, "b"), cut_of(2, "b")], "test")
    with pytest.raises(ConfigError, match=r"task.enrolment.dev needs the trials"):
        toy_task(enrolment={"dev": "x"}).check_split([cut_of(0, "a"), cut_of(1, "b")], "dev")


def test_training_items_need_speakers() -> None:
    task = toy_task()
    with pytest.raises(LabelError, match=r"'item-1' has no speaker"):
        task.check_split([cut_of(0, "ann"), cut_of(1, None)], "train")
    with pytest.raises(LabelError, match=r"'eve' of the training item 'item-0' is not among"):
        task.check_split([cut_of(0, "eve")], "train")
    with pytest.raises(LabelError, match="only 'a'"):
        SpeakerVerification.complete(Config(), [cut_of(0, "a"), cut_of(1, "a")])
    config = SpeakerVerification.complete(Config(), [cut_of(0, "b"), cut_of(1, "a"), cut_of(2, None)])
    assert config.speakers == ["a", "b"]
    assert structured(Config, as_dict(config)) == config


def test_recordings_shorter_than_the_heads_reach_are_named() -> None:
    task = toy_task(head="xvector", tdnn=[[8, 5, 1], [8, 3, 2]])  # 9 frames
    enough, short = cut_of(0, "ann", 0.10), cut_of(1, "ann", 0.09)
    assert [int(task.upstream.num_frames(round(cut.duration * RATE))) for cut in (enough, short)] == [9, 8]
    with pytest.raises(AudioError, match=r"'item-1' lasts 0.09 s, 8 frames .* the xvector head needs 9; drop it from"):
        task.check_split([enough, short], "test")
    wavs = torch.zeros(2, round(0.1 * RATE))
    batch = Batch(wavs, torch.tensor([1600, 1440]), (enough, short))
    with pytest.raises(AudioError, match=r"8 frames .*data.min_duration_s"):
        task.loss(batch)
    task.eval().embeddings(Batch(wavs[:1], torch.tensor([1600]), (enough,)))
    ecapa = toy_task(head="ecapa").eval()
    assert ecapa.head.min_frames == 5
    ecapa.head(torch.randn(1, 5, 8), torch.tensor([5]))


# Rows, calibration, tables and pictures


def test_rows_of_trials_and_their_calibration() -> None:
    task, batch = toy_task(head="pooled", pooling="statistics").eval(), batch_of(9)
    assert task.calibration is None
    items = json.loads(json.dumps(task.predict(batch)))
    before = task.assemble(items, "test")
    assert len(before) == 36
    assert all(row["llr"] is None for row in before)
    assert set(task.score(before)) == {"eer", "min_dcf_p01", "min_dcf_p05"}
    rows = task.assemble(items[::-1], "dev")  # in any order
    assert [row["id"] for row in rows] == [row["id"] for row in before]
    assert task.calibration is not None
    for row in rows:
        assert row["llr"] == pytest.approx(task.calibration.llrs(row["score"]))
        assert row["target"] == int(row["speaker_enrol"] == row["speaker_test"])
    units = {item["id"]: np.array(item["embedding"]) / np.linalg.norm(item["embedding"]) for item in items}
    assert rows[0]["score"] == pytest.approx(float(units[rows[0]["enrol"]] @ units[rows[0]["test"]]))
    metrics = task.score(json.loads(json.dumps(rows)))
    assert metrics["eer"].value == equal_error_rate([row["score"] for row in rows], [row["target"] for row in rows])
    assert metrics["cllr"].value == pytest.approx(cllr([row["llr"] for row in rows], [row["target"] for row in rows]))
    assert metrics["eer"].low is not None
    again = task.assemble(items, "test")
    assert [row["llr"] for row in again] == [row["llr"] for row in rows]  # kept, not fitted again
    assert task.facts(rows)["num_target_trials"] == 9
    assert task.facts(rows)["num_drawn"] == 3


def test_mean_embedding_is_taken_out_where_asked_for() -> None:
    plain, centred = (toy_task(head="pooled", subtract_mean=flag).eval() for flag in (False, True))
    items = plain.predict(batch_of(6))
    for row in items:
        row["embedding"] = (np.array(row["embedding"]) + 50.0).tolist()  # nearly all one direction
    assert min(row["score"] for row in plain.assemble(items, "dev")) > 0.9
    scores = [row["score"] for row in centred.assemble(items, "dev")]
    assert min(scores) < 0
    other = toy_task(head="pooled", subtract_mean=True)
    other.load_trainable_state(centred.trainable_state())
    assert [row["score"] for row in other.assemble(items, "test")] == scores


def test_tables_name_the_worst_errors_with_sound_on_both_sides(tmp_path: Path) -> None:
    task = toy_task(head="pooled").eval()
    items = [
        {
            "id": f"{speaker}{number}",
            "embedding": [float(speaker == "a"), float(number), 0.1],
            "speaker": speaker,
            "duration_s": 1.0,
            "audio": {"path": f"/{speaker}{number}.wav", "start_s": 0.0, "duration_s": 1.0},
        }
        for speaker in "ab"
        for number in range(3)
    ]
    rows = task.assemble(items, "dev")
    errors, speakers = task.tables(json.loads(json.dumps(rows)))
    assert errors.rows
    for row in errors.rows:
        assert row[0] in ("one speaker, refused", "two speakers, accepted")
        for name, sound in ((row[3], row[4]), (row[5], row[6])):
            assert isinstance(sound, dict)
            assert sound == {"audio": f"/{str(name).split(' ')[0]}.wav", "start_s": 0.0, "duration_s": 1.0}
    threshold = task.facts(rows)["eer_threshold"]
    wrong = [row for row in rows if (row["score"] >= threshold) != bool(row["target"])]
    assert len(errors.rows) == min(10, len(wrong))
    assert {row[0] for row in speakers.rows} == {"a", "b"}
    refused = sum(bool(row["target"]) for row in wrong)
    assert sum(int(str(row[1]).split(" of ")[0]) for row in speakers.rows) == refused
    drawn = task.figures(tmp_path, rows)
    assert set(drawn) == {"DET curve", "Scores"}
    for path in drawn.values():
        assert imread(path).std() > 0.05


def test_drawing_perfect_and_hopeless_scores(tmp_path: Path) -> None:
    from audiossl.downstreams.speaker_verification.figures import draw_det, draw_scores

    targets = np.array([True, True, False, False])
    for number, scores in enumerate(([4.0, 3, 2, 1], [1.0, 2, 3, 4], [1.0, 1, 1, 1])):
        draw_det(np.array(scores), targets, tmp_path / f"{number}.png")
        draw_scores(np.array(scores), targets, None, tmp_path / f"{number}-scores.png")
    assert len(list(tmp_path.glob("*.png"))) == 6


# Runs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of 6 training voices, and 4 others each for dev and test; a trial list for test."""
    folder = tmp_path_factory.mktemp("voices")
    lines = ["path,speaker,split"]
    for speaker in range(14):
        split = "train" if speaker < 6 else "dev" if speaker < 10 else "test"
        for take in range(4):
            name = f"s{speaker}-{take}.wav"
            soundfile.write(folder / name, voice(speaker, take, 0.35 + 0.05 * take), RATE)
            lines.append(f"{name},s{speaker},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    names = [f"s{speaker}-{take}.wav" for speaker in range(10, 14) for take in range(4)]
    pairs = [(int(a.split("-")[0] == b.split("-")[0]), a, b) for a in names for b in names if a < b]
    (folder / "trials.txt").write_text("".join(f"{same} {a} {b}\n" for same, a, b in pairs))
    return folder


def settings(corpus: Path, *more: str) -> Experiment:
    config = read_experiment(
        None,
        [
            "downstream=speaker_verification",
            "upstream=log_mel",
            f"data.dir={corpus}",
            f"task.trials.test={corpus / 'trials.txt'}",
            "task.head=pooled",
            "task.pooling=statistics",
            "task.projector_width=16",
            "task.embedding_width=16",
            "data.max_crop_s=0.3",
            "data.balance=speaker",
            "data.batch_size=8",
            "trainer.steps=60",
            "trainer.eval_every=30",
            "trainer.lr=0.01",
            *more,
        ],
    )
    assert isinstance(config, Experiment)
    return config


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(corpus), tmp_path_factory.mktemp("runs") / "run")


def test_it_learns_voices_that_it_never_heard(run: Path, corpus: Path) -> None:
    loaded = load_run(run)
    metrics = loaded.evaluate("test")
    assert metrics["eer"].value < 0.2
    assert metrics["cllr"].value < 1.0
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    assert len(rows) == len((corpus / "trials.txt").read_text().splitlines())
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["tables"][0]["title"] == "Most confident errors"
    assert facts["calibration"]["scale"] > 0
    assert {"det.png", "scores.png"} <= {path.name for path in (run / "test").iterdir()}
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["split"] == "dev"] == [30, 60]


def test_calibration_is_that_of_the_weights_it_lies_with(run: Path) -> None:
    loaded = load_run(run)
    task = loaded.task
    assert isinstance(task, SpeakerVerification)
    stored = read_tensors(run / "checkpoints" / "best.safetensors")[0]["scale_and_offset"]
    before = task.calibration
    loaded.evaluate("dev")  # fits again, on the same embeddings
    assert before is not None
    assert task.calibration is not None
    assert tuple(stored.tolist()) == tuple(before)
    assert tuple(before) == pytest.approx(tuple(task.calibration), rel=1e-3)


def test_resuming_gives_the_run_that_was_not_stopped(run: Path, corpus: Path, tmp_path: Path) -> None:
    train(settings(corpus, "trainer.steps=30"), tmp_path / "run")
    config = dataclasses.replace(settings(corpus))
    train(config, tmp_path / "run", resume=True)
    whole, parts = (read_tensors(path / "checkpoints" / "last.safetensors")[0] for path in (run, tmp_path / "run"))
    assert set(whole) == set(parts)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


def test_lists_are_held_against_the_manifests_before_training(corpus: Path, tmp_path: Path) -> None:
    wrong = written(tmp_path, "1 s6-0 s6-1\n0 s6-0 s10-0\n")
    with pytest.raises(ManifestError, match=r"trials.txt line 2 names 's10-0', which is no item of dev"):
        train(settings(corpus, f"task.trials.dev={wrong}"), tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_averaged_weights_have_a_calibration(corpus: Path, tmp_path: Path) -> None:
    config = settings(corpus, "trainer.steps=20", "trainer.eval_every=10", "trainer.average_best=2")
    loaded = load_run(train(config, tmp_path / "run"), "averaged")
    assert isinstance(loaded.task, SpeakerVerification)
    assert loaded.task.calibration is not None


def test_verify_in_python_and_on_the_command_line(run: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_run(run)
    enrol, same, other = (str(corpus / name) for name in ("s10-0.wav", "s10-1.wav", "s12-0.wav"))
    near, far = verify(loaded, [enrol], same), verify(loaded, [enrol], other)
    assert near.score > far.score
    assert near.probability is not None
    assert far.probability is not None
    assert near.same
    assert not far.same
    assert verify(loaded, [enrol], enrol).score == pytest.approx(1.0)
    doubtful = verify(loaded, [enrol], same, prior=0.01)
    assert doubtful.llr == near.llr
    assert doubtful.probability is not None
    odds = doubtful.probability / (1 - doubtful.probability)
    assert odds == pytest.approx(near.probability / (1 - near.probability) / 99, rel=1e-6)
    several = verify(loaded, [enrol, str(corpus / "s10-2.wav")], same)
    assert several.score != near.score
    cuts = {cut.id: cut for cut in read_manifest(corpus / "test.jsonl.gz")}
    rows = {row["id"]: row for row in load_run(run).predictions_of("test")}
    assert near.score == pytest.approx(rows[f"{'s10-0'} {'s10-1'}"]["score"], abs=1e-5)
    assert len(cuts) == 16

    add_commands_of_tasks()
    runner = CliRunner()
    shown = runner.invoke(app, ["verify", str(run), enrol, same, "--enrol", str(corpus / "s10-2.wav"), "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == pytest.approx(several._asdict())
    shown = runner.invoke(app, ["verify", str(run), enrol, other])
    assert "two speakers" in shown.stdout
    assert f"{far.score:.4f} (cosine)" in shown.stdout
    assert "prior 0.5" in shown.stdout


def test_verify_says_what_is_wrong(run: Path, corpus: Path) -> None:
    loaded = load_run(run)
    sound = str(corpus / "s10-0.wav")
    with pytest.raises(ConfigError, match="prior=1 must be"):
        verify(loaded, [sound], sound, prior=1.0)
    with pytest.raises(AudioError, match="nothing.wav"):
        verify(loaded, [sound], str(corpus / "nothing.wav"))
    with pytest.raises(AudioError, match=r"stands for 56 recordings; name one file"):
        verify(loaded, [str(corpus)], sound)
    other = dataclasses.replace(loaded, task=ToyUpstream())  # type: ignore[arg-type]
    with pytest.raises(AudiosslError, match="give one of speaker_verification"):
        verify(other, [sound], sound)
    torch.nn.init.zeros_(loaded.task.get_buffer("scale_and_offset"))
    assert verify(loaded, [sound], sound)[1:4] == (None, None, None)


def test_predict_gives_embeddings(run: Path, corpus: Path) -> None:
    loaded = load_run(run)
    (row,) = loaded.predict(read_manifest(corpus / "test.jsonl.gz").subset(first=1))
    assert len(row["embedding"]) == 16
    assert loaded.task.columns(row)["embedding"].startswith("16 numbers")


def test_enrolment_lists_in_a_run(run: Path, corpus: Path, tmp_path: Path) -> None:
    models = written(tmp_path, "".join(f"m{s} s{s}-0 s{s}-1\n" for s in range(10, 14)), "models")
    lines = [f"{int(a == b)} m{a} s{b}-{take}\n" for a in range(10, 14) for b in range(10, 14) for take in (2, 3)]
    trials = written(tmp_path, "".join(lines))
    changed = [f"task.trials.test={trials}", f"task.enrolment.test={models}"]
    rows = load_run(run, overrides=changed).predictions_of("test")
    assert [row["enrol"] for row in rows[:2]] == ["m10", "m10"]
    assert rows[0]["speaker_enrol"] == "s10"
    assert len(rows) == 32


def test_settings_are_valid_and_say_what_they_are() -> None:
    sound = read_experiment(None, ["downstream=speaker_verification", "setting=default"])
    assert structured(Config, sound.task).loss == "aam"
    assert (sound.data.max_crop_s, sound.data.balance) == (3.0, "speaker")
    published = read_experiment(None, ["downstream=speaker_verification", "setting=superb"])
    assert (published.data.batch_size, published.trainer.batches_per_step) == (10, 5)
    assert (published.trainer.optimizer, published.trainer.lr, published.trainer.clip) == ("adamw", 1e-4, 1000.0)
    assert (published.trainer.steps, published.checkpoint) == (200000, "last")
    assert published.data.max_crop_s == 8.0
    identification = read_experiment(None, ["setting=speaker_identification"])
    assert (identification.data.batch_size, identification.trainer.batches_per_step) == (8, 4)
    assert identification.task["label_field"] == "speaker"
