"""A probe during pre-training is a curve of the log, and changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError, LabelError
from audiossl.experiments.config import PretrainExperiment, read_experiment
from audiossl.experiments.training import pretrain
from audiossl.training.log import read_log


def tera(corpus: Path, *overrides: str) -> PretrainExperiment:
    sizes = ["width=16", "num_layers=1", "num_heads=2", "ffn_width=16", "normalize=utterance"]
    trainer = ["steps=4", "eval_every=2", "device=cpu", "log_every=1"]
    settings = [*(f"upstream_options.{each}" for each in sizes), *(f"trainer.{each}" for each in trainer), *overrides]
    made: PretrainExperiment = read_experiment(
        None, [f"data.dir={corpus}", "data.batch_size=4", "upstream=tera", *settings], pretrain=True
    )
    return made


def test_its_accuracy_is_logged_and_training_is_as_without_it(corpus: Path, tmp_path: Path) -> None:
    """Dropout too goes on after a probe, also where the objective has nothing to draw of dev."""
    settings = ["trainer.steps=6", "objective=best_rq", "objective_options={num_codes: 8, mask_span: 3}"]
    runs = [
        pretrain(tera(corpus, *settings, *probe), tmp_path / str(number))
        for number, probe in enumerate([[], ["probe.every=4", f"probe.dir={corpus}"]])
    ]
    plain, probed = (read_log(run) for run in runs)
    assert [line["loss"] for line in plain] == [line["loss"] for line in probed]
    accuracies = {line["step"]: line.get("probe_accuracy") for line in probed if line["split"] == "dev"}
    assert accuracies[2] is None
    assert accuracies[4] is not None
    assert 0 <= accuracies[4] <= 1
    train = next(line for line in probed if line["split"] == "train")
    assert {"grad_norm", "grad_norm_front", "grad_norm_blocks", "grad_norm_heads"} <= train.keys()
    whole = sum(train[f"grad_norm_{part}"] ** 2 for part in ("front", "blocks", "heads")) ** 0.5
    assert train["grad_norm"] == pytest.approx(whole, rel=1e-4)


def test_what_cannot_be_probed_is_said_before_training_or_at_the_first_probe(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of trainer.eval_every=2"):
        tera(corpus, "probe.every=3")
    with pytest.raises(LabelError, match="nobody"):
        pretrain(tera(corpus, "probe.every=2", f"probe.dir={corpus}", "probe.field=nobody"), tmp_path / "run")
