"""Pre-training that goes on from an encoder: which options may differ, which heads are taken, what is said of it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys.heads import log_of
from toys.miniatures import TOY, encoder, fairseq_state, shell, write
from toys.tera import TERA_SIZES, tiny
from toys.tera import short_pretraining as tera

from audiossl import Batch, Loss, Objective, load_upstream, save_upstream
from audiossl.core.config import read_yaml
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.registry import OBJECTIVES
from audiossl.core.tensors import config_of, read_tensors
from audiossl.encoders.conversion import convert
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.building import build_objective
from audiossl.experiments.config import PretrainExperiment, read_experiment
from audiossl.experiments.continuing import load_init, take_heads
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.experiments.training import pretrain
from audiossl.objectives.tera.objective import TeraObjective
from audiossl.training.task import Task


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TeraObjective, "snapshot", Task.snapshot)


@dataclasses.dataclass(frozen=True)
class LevelConfig:
    width: int = 8


class Level(Objective):
    """Tells the level of the sound from the mean state: it takes a published `final_proj` where its shape fits."""

    Config = LevelConfig

    def __init__(self, upstream: Upstream, config: LevelConfig) -> None:
        super().__init__(upstream)
        self.config = config
        self.final_proj = nn.Linear(upstream.widths[-1], config.width)
        self.out = nn.Linear(config.width, 1)

    def take_heads(self, heads: Mapping[str, Tensor]) -> list[str]:
        own = self.state_dict()
        taken = {name: value for name, value in heads.items() if name in own and own[name].shape == value.shape}
        self.load_state_dict(taken, strict=False)
        return list(taken)

    def loss(self, batch: Batch) -> Loss:
        means = [self.upstream(wav[None, :n]).layers[-1].mean(1) for wav, n in zip(batch.wavs, batch.lengths)]
        levels = torch.stack([wav[:n].square().mean() for wav, n in zip(batch.wavs, batch.lengths)])
        guesses = self.out(self.final_proj(torch.cat(means)).tanh()).squeeze(1)
        return Loss((guesses - levels).square().mean(), torch.tensor(float(len(batch))))


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    OBJECTIVES.register("level")(Level)
    yield
    del OBJECTIVES._decorated["level"]


def configured(*overrides: str) -> PretrainExperiment:
    made: PretrainExperiment = read_experiment(None, overrides, pretrain=True)
    return made


def continued(corpus: Path, init: Path, *overrides: str) -> PretrainExperiment:
    config = tera(corpus, f"init={init}", "objective=level", *overrides)
    return dataclasses.replace(config, upstream_options={"layer_drop": 0.0})


def mini(tmp_path: Path, **heads: Tensor) -> Path:
    made = encoder("hubert", dropout=0.1)
    return write(shell(made, {**fairseq_state(made), **heads}), tmp_path / "hubert.pt")


def test_the_encoder_decides_what_it_is(tmp_path: Path) -> None:
    path = mini(tmp_path)
    config, upstream = load_init(configured(f"init={path}", "objective=level"))
    assert (config.upstream, config.upstream_options) == ("wav2vec2", config_of(upstream))
    assert config.upstream_options["width"] == TOY["width"]
    again = build_objective(dataclasses.replace(config, init=""))  # as a run that goes on is built
    assert again.upstream.state_dict().keys() == upstream.state_dict().keys()
    assert load_init(config)[0] == config  # what a run has written may be its recipe


def test_options_for_training_alone_may_differ_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "tera.safetensors"
    save_upstream(tiny(), path)
    changed = configured(f"init={path}", "upstream=tera", "upstream_options={width: 16, dropout: 0.4}")
    config, upstream = load_init(changed)
    assert config.upstream_options["dropout"] == config_of(upstream)["dropout"] == 0.4
    before = load_upstream(str(path)).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in upstream.state_dict().items())
    for options, message in {
        "{width: 32}": r"upstream_options\.width=32 contradicts init=.*tera.safetensors, an encoder with width=16",
        "{num_heads: 4, dropout: 0.2}": r"^upstream_options\.num_heads=4 contradicts .* num_heads=2; leave that out",
        "{log_eps: 1.0e-3, level_db: null}": r"upstream_options\.level_db=None, upstream_options\.log_eps=0\.001 contr",
        "{widht: 32}": r"there is no key 'widht'\. Did you mean width",
    }.items():
        with pytest.raises(ConfigError, match=message):
            load_init(configured(f"init={path}", f"upstream_options={options}"))
    with pytest.raises(ConfigError, match=r"upstream=hubert contradicts init=.*, which is a tera; leave upstream out"):
        load_init(configured(f"init={path}", "upstream=hubert"))


def test_dropout_is_on_in_an_encoder_that_was_loaded(tmp_path: Path) -> None:
    save_upstream(tiny(), tmp_path / "tera.safetensors")
    config, upstream = load_init(configured(f"init={tmp_path / 'tera.safetensors'}"))
    assert not upstream.training
    assert all(module.training for module in build_objective(config, upstream).modules())


def test_heads_of_another_toolkit_are_taken_where_they_fit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heads = {"final_proj.weight": torch.full((8, 24), 2.0), "label_embs_concat": torch.zeros(9, 8)}
    path = mini(tmp_path, **heads)
    config, upstream = load_init(configured(f"init={path}", "objective=level"))
    task = build_objective(config, upstream)
    take_heads(task, config)
    assert torch.equal(task.get_parameter("final_proj.weight"), heads["final_proj.weight"])
    said = f"Goes on from {path}: the encoder, and of the objective final_proj. Drawn anew: final_proj, out."
    assert caplog.messages[-1] == said
    other = build_objective(dataclasses.replace(config, objective_options={"width": 5}), upstream)
    take_heads(other, config)
    assert caplog.messages[-1] == f"Goes on from {path}: the encoder. Drawn anew: final_proj, out."


def test_an_earlier_run_gives_its_heads_to_the_same_objective(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = pretrain(tera(corpus, "trainer.steps=2"), tmp_path / "first")
    ends = read_tensors(RunFolder(first).checkpoint("best"))[0]
    config, upstream = load_init(tera(corpus, f"init={first}"))
    task = build_objective(config, upstream)
    take_heads(task, config)
    assert all(torch.equal(value, ends[name]) for name, value in task.state_dict().items())
    assert caplog.messages[-1] == f"Goes on from {first}: the encoder, and of the objective head."
    changed, upstream = load_init(tera(corpus, f"init={first}", "objective=level"))
    take_heads(build_objective(changed, upstream), changed)
    assert caplog.messages[-1] == f"Goes on from {first}: the encoder. Drawn anew: final_proj, out."


def test_a_run_goes_on_from_a_published_encoder_and_resumes_without_it(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mini(tmp_path)
    config = continued(corpus, path, "trainer.steps=2")
    out = pretrain(config, tmp_path / "run")
    stored = read_yaml(out / "config.yaml")
    assert (stored["init"], stored["upstream_options"]["width"]) == (str(path), TOY["width"])
    path.unlink()
    again = read_experiment(out / "config.yaml", ["trainer.steps=4"], pretrain=True, saved=True)
    pretrain(again, out, resume=True)
    assert [line["step"] for line in log_of(out)] == [1, 2, 3, 4]
    assert log_of(out)[0]["lr"] == pytest.approx(config.trainer.lr / 4)  # it is warmed up again
    assert load_upstream(str(out)).widths == (24,) * 3


@pytest.mark.parametrize("names", [["stem"], ["stem", "blocks.0", "position"]])
def test_frozen_parts_stay_bit_by_bit(corpus: Path, tmp_path: Path, names: list[str]) -> None:
    path = mini(tmp_path)
    config = continued(corpus, path, "trainer.steps=2", "trainer.weight_decay=0.1", f"freeze={names}")
    after = load_upstream(str(pretrain(config, tmp_path / "run"))).state_dict()
    before = load_upstream(str(path)).state_dict()
    for name, value in after.items():
        frozen = name.startswith(tuple(f"{part}." for part in names))
        # No mask embedding is in this objective's graph, and a key's bias changes no attention.
        assert torch.equal(value, before[name]) or not frozen
        assert frozen or name == "mask_embedding" or not torch.equal(value, before[name])


def test_what_cannot_be_frozen_is_named(tmp_path: Path) -> None:
    wrong: Callable[..., Any] = lambda names: build_objective(configured(*TERA_SIZES, f"freeze={names}"))  # noqa: E731
    with pytest.raises(ConfigError, match=r"freeze=\['stem'\]: tera has no part 'stem'\. Known: blocks, dropout"):
        wrong("[stem]")
    with pytest.raises(ConfigError, match="has no part ''"):
        wrong("['']")
    with pytest.raises(ConfigError, match="leaves nothing of tera to train"):
        wrong("[project, norm, blocks]")


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        load_init(configured("init=./nowhere"))


def states_in_transformers(folder: Path, wavs: Tensor) -> list[Tensor]:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, config.architectures[0]).from_pretrained(folder).eval()
    with torch.no_grad():
        return list(model(wavs, output_hidden_states=True).hidden_states)


@pytest.mark.parametrize("family", ["hubert", "wav2vec2", "wavlm", "data2vec"])
def test_what_was_continued_has_the_same_states_in_transformers(corpus: Path, tmp_path: Path, family: str) -> None:
    made = encoder(family, **({"position_kernel": 9, "position_depth": 3} if family == "data2vec" else {}))
    save_upstream(made, tmp_path / "before.safetensors")
    run = pretrain(continued(corpus, tmp_path / "before.safetensors", "trainer.steps=1"), tmp_path / "run")
    assert_same_in_transformers(run, tmp_path / "folder")


def test_an_encoder_that_was_fine_tuned_has_them_too(
    experiment: Callable[..., Any], tmp_path: Path, audiossl: Callable[..., Any]
) -> None:
    save_upstream(encoder("hubert"), tmp_path / "before.safetensors")
    settings = [f"upstream={tmp_path / 'before.safetensors'}", "finetune=all", "trainer.steps=1"]
    run = train(experiment(*settings), tmp_path / "run")
    assert_same_in_transformers(run, tmp_path / "folder")
    done = audiossl("convert", run, tmp_path / "again", "--to", "transformers")
    assert (done.code, (tmp_path / "again" / "config.json").is_file()) == (0, True)


def assert_same_in_transformers(run: Path, folder: Path) -> None:
    convert(str(run), folder, "transformers")
    wav = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    made: Any = load_upstream(str(run))
    with torch.no_grad():
        ours, heard = made(wav[None]).layers, made.normalized(wav[None], torch.tensor([8000]))  # they normalise outside
    for own, theirs in zip(ours, states_in_transformers(folder, heard), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=2e-5)
