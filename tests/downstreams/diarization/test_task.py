"""The task of diarisation: labels, loss, decisions of dev, from training to RTTM, and bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet
from toys.conversations import write_conversations

from audiossl import load_run, load_upstream
from audiossl.core.config import structured
from audiossl.core.errors import LabelError
from audiossl.data.loader import collate
from audiossl.data.manifests import write_manifests
from audiossl.data.turns import Turn, read_rttm, turns_of, with_turns
from audiossl.downstreams.diarization.task import FrameDiarization, FrameDiarizationConfig
from audiossl.experiments.config import read_experiment
from audiossl.experiments.start import train
from audiossl.training.interface import build_interface


def made(**options: Any) -> FrameDiarization:
    upstream = load_upstream("log_mel")
    torch.manual_seed(0)
    config = structured(FrameDiarizationConfig, {"num_speakers": 2, "hidden": 4, **options})
    return FrameDiarization(upstream, build_interface("weighted_sum", upstream.widths, {}), config)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return write_conversations(tmp_path_factory.mktemp("talks"), 3).to_eager()


def test_a_frame_has_the_label_of_its_centre(talks: CutSet) -> None:
    task, cut = made(), with_turns(talks[0], [Turn(0.5, 1.0, "b"), Turn(0.25, 0.75, "a")])
    num_frames = task.upstream.num_frames(32000)
    labels = task.labels([cut], torch.tensor([num_frames - 5]), num_frames)[0]
    centres = task.clock.first_s + torch.arange(num_frames) * task.clock.step_s
    valid = torch.arange(num_frames) < num_frames - 5
    assert torch.equal(labels[:, 0] > 0, (centres >= 0.25) & (centres < 0.75) & valid)
    assert torch.equal(labels[:, 1] > 0, (centres >= 0.5) & (centres < 1.0) & valid)


def test_the_loss_is_the_least_over_the_orders_of_speakers(talks: CutSet) -> None:
    task = made(bidirectional=True, normalize=True).eval().requires_grad_(False)
    batch = collate(list(talks), 16000)
    logits, lengths = task.logits(batch)
    labels = task.labels(batch.cuts, lengths, logits.shape[1])
    total = 0.0
    for item, count in enumerate(lengths.tolist()):
        total += min(
            float(
                torch.nn.functional.binary_cross_entropy_with_logits(
                    logits[item, :count], labels[item, :count][:, list(order)], reduction="sum"
                )
            )
            for order in permutations(range(2))
        )
    assert float(task.loss(batch).total) == pytest.approx(total / 2 / float(lengths.sum()), rel=1e-5)


def test_dev_chooses_how_probabilities_are_decided(talks: CutSet) -> None:
    task = made()
    row = {"id": "a", "target": [[0.0, 1.0, "x"]], "first_s": 0.05, "step_s": 0.1, "duration_s": 2.0}
    row |= {"probabilities": [[0.45] * 10 + [0.2] * 10, [0.1] * 20], "recording": "a", "wanted_overlap": None}
    (decided,) = task.assemble([row], "dev")
    assert (task.rule.threshold, decided["predicted"]) == (0.4, [[0.0, 1.0, "speaker_1"]])
    assert task.score([decided])["der"].value == 0.0
    assert task.facts([decided])["scoring"] == "collar 0 s on either side, with overlap"
    twin = made()
    twin.load_trainable_state(task.trainable_state())
    assert twin.rule == task.rule
    assert made(threshold=0.6, median_s=0.0).rule == (0.6, 0.0)


def test_what_cannot_be_used_is_one_sentence(talks: CutSet) -> None:
    task, cut = made(), talks[0]
    three = with_turns(cut, [Turn(0.0, 1.0, name) for name in "abc"])
    with pytest.raises(LabelError, match="talk0 of train has 3 speakers and the head 2 outputs; set"):
        task.check_cuts([three], "train")
    with pytest.raises(LabelError, match="talk0 of dev has no turn"):
        task.check_cuts([replace(cut, supervisions=[])], "dev")
    with pytest.raises(LabelError, match="lasts 2 s, and a speaks until 9 s"):
        task.check_cuts([with_turns(cut, [Turn(1.0, 9.0, "a")])], "dev")
    with pytest.raises(LabelError, match="No training row has turns of two speakers"):
        FrameDiarization.complete(FrameDiarizationConfig(), [with_turns(cut, [Turn(0.0, 1.0, "a")])])
    assert FrameDiarization.complete(FrameDiarizationConfig(), [cut, three]).num_speakers == 3
    with pytest.raises(LabelError, match="has a target in which somebody speaks"):
        task.score([{"target": None}])


@pytest.mark.slow
def test_from_training_to_rttm(tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    sizes = {"train": 12, "dev": 3, "test": 3}
    splits = {name: write_conversations(tmp_path / name, count, 100 * count) for name, count in sizes.items()}
    write_manifests(splits, tmp_path / "manifests")
    settings = ("downstream=diarization", "upstream=log_mel", "task.hidden=16", "task.normalize=true")
    trainer = ("trainer.steps=40", "trainer.lr=0.02", "trainer.eval_every=20", "data.batch_size=6")
    run = train(read_experiment(None, [*settings, *trainer, f"data.dir={tmp_path / 'manifests'}"]), tmp_path / "run")
    metrics = load_run(run, device="cpu").evaluate()
    assert metrics["der"].value < 0.1
    out = tmp_path / "talk.rttm"
    done = audiossl("predict", run, tmp_path / "test" / "talk300.wav", "--out", out)
    assert done.code == 0, done.err
    (turns,) = read_rttm(out).values()
    truth = sorted(turns_of(next(iter(splits["test"]))))
    assert [turn[:2] for turn in turns] == [pytest.approx(turn[:2], abs=0.1) for turn in truth]
