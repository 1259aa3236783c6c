"""An adversary in a run: weight 0 is none, resumption, every task takes it, and what is wrong with a column."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl import load_run
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.files import read_jsonl
from audiossl.core.tensors import read_tensors
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.adversary import told_of
from audiossl.experiments.config import Experiment
from audiossl.experiments.start import train
from audiossl.training.log import read_log

Make = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})


def weights(run: Path, which: str = "last") -> dict[str, Tensor]:
    return read_tensors(run / "checkpoints" / f"{which}.safetensors")[0]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def told(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "test" / "metrics.json").read_text())["adversary"]
    return found


def test_weight_0_is_the_plain_run_bit_for_bit_and_is_probed(experiment: Make, tmp_path: Path) -> None:
    plain = train(experiment(), tmp_path / "plain")
    none = train(experiment("adversary=speaker", "adversary.weight=0"), tmp_path / "none")
    opposed = train(experiment("adversary=speaker", "adversary.weight=2"), tmp_path / "opposed")
    assert same(weights(plain), weights(none))
    assert not same(weights(plain), weights(opposed))
    for run in (none, opposed):
        load_run(run, device="cpu").evaluate()
    for run, weight in ((none, 0), (opposed, 2)):
        facts = told(run)
        assert (facts["field"], facts["weight"], facts["num_values"], facts["num_items"]) == ("speaker", weight, 2, 18)
        assert facts["probe_accuracy"]["low"] <= facts["probe_accuracy"]["value"] <= facts["probe_accuracy"]["high"]
        assert len(read_jsonl(run / "test" / "adversary.jsonl")) == 18
    load_run(plain, device="cpu").evaluate()
    assert "adversary" not in json.loads((plain / "test" / "metrics.json").read_text())


def test_a_run_goes_on_exactly_and_logs_both_losses(experiment: Make, tmp_path: Path) -> None:
    settings = ("adversary=speaker", "adversary.schedule=linear", "adversary.hidden=[4]")
    whole = train(experiment(*settings), tmp_path / "whole")
    part = train(experiment(*settings), tmp_path / "part")
    lines = [line for line in read_log(whole) if line["split"] == "train"]
    assert all(abs(line["loss"] - line["task_loss"] - line["adversary_loss"]) < 1e-4 for line in lines)
    assert same(weights(whole), weights(part))
    run = load_run(whole, device="cpu")
    assert run.task.adversary is None
    further = experiment(*settings, "trainer.steps=60")
    assert train(further, part, resume=True) == part
    assert "model/adversary.classifier.0.weight" in weights(part)


def test_all_forms_of_the_cache_give_the_same(cached_experiment: Make, tmp_path: Path) -> None:
    runs = {
        form: train(cached_experiment("adversary=speaker", f"features={form}"), tmp_path / form)
        for form in ("off", "pooled")
    }
    first, second = (weights(run) for run in runs.values())
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], atol=2e-3, rtol=1e-2)


def test_weights_in_one_sweep_are_separate_runs(experiment: Make, tmp_path: Path) -> None:
    sweep = train(experiment("adversary=speaker", "sweep.adversary=[0,1]", "sweep.stack=off"), tmp_path / "sweep")
    for weight in (0, 1):
        alone = train(experiment("adversary=speaker", f"adversary.weight={weight}"), tmp_path / f"{weight}")
        assert same(weights(alone), weights(sweep / f"adversary{weight}"))


def test_a_fine_tuned_encoder_is_reached_or_not(experiment: Make, tmp_path: Path) -> None:
    settings = ["upstream=tera", "upstream_options.weights=random", "finetune=all", "trainer.steps=3"]
    sizes = {"width": 8, "num_layers": 1, "num_heads": 2, "ffn_width": 8}
    settings += [f"upstream_options.{key}={value}" for key, value in sizes.items()]
    opposed = [*settings, "adversary=speaker", "adversary.weight=5"]
    on_head, on_all = (
        train(experiment(*opposed, f"adversary.reaches={on}"), tmp_path / on) for on in ("head", "encoder")
    )
    names = [name for name in weights(on_all) if name.startswith("model/upstream.")]
    assert names and any(not torch.equal(weights(on_head)[name], weights(on_all)[name]) for name in names)
    assert load_run(on_all, device="cpu").evaluate()


def test_another_task_takes_it(experiment: Make, tmp_path: Path) -> None:
    run = train(experiment("downstream=speaker_verification", "adversary=label", "trainer.steps=4"), tmp_path / "run")
    assert "adversary_accuracy" in read_log(run)[0]
    load_run(run, device="cpu").evaluate("test")
    assert told(run)["field"] == "label"


def test_an_item_in_several_folds_varies_as_a_whole(experiment: Make) -> None:
    rows = [
        {"id": f"i{number}", "target": f"s{number % 2}", "predicted": f"s{(number + (number < fold)) % 2}"}
        for fold in range(3)
        for number in range(20)
    ]
    found = told_of(rows, experiment("adversary=speaker"))
    facts = found.facts["adversary"]
    assert (facts["num_items"], facts["num_values"], facts["most_frequent"]) == (20, 2, 0.5)
    assert facts["probe_accuracy"]["value"] == pytest.approx(57 / 60)
    assert (facts["probe_accuracy"]["num_clusters"], facts["probe_accuracy"]["cluster"]) == (20, "recording")
    assert found.tables[0].rows[0][:3] == ["speaker", 1.0, "95.0"]


def without_speaker(corpus: Path, out: Path, **changes: str | None) -> Path:
    """The corpus, of whose training rows the speakers are changed by id."""
    for split in ("train", "dev", "test"):
        rows = list(read_manifest(corpus / f"{split}.jsonl.gz"))
        for number, cut in enumerate(rows if split == "train" else []):
            cut.supervisions[0].speaker = changes["speaker"] if number or "all" in changes else None
        write_manifests({split: rows}, out)
    return out


def test_what_is_wrong_with_a_column_is_one_sentence(experiment: Make, corpus: Path, tmp_path: Path) -> None:
    data = without_speaker(corpus, tmp_path / "some", speaker="s1")
    with pytest.raises(LabelError, match=r"1 of the 18 rows of training have nothing in .* 'speaker'.*adversary"):
        train(experiment("adversary=speaker", f"data.dir={data}"), tmp_path / "run")
    with pytest.raises(LabelError, match=r"18 of the 18 rows .* field 'age'.*what there is: label, .*speaker"):
        train(experiment("adversary=age", "adversary.weight=0"), tmp_path / "run")
    with pytest.raises(LabelError, match="field 'age'"):
        train(experiment("adversary=age", "sweep.adversary=[0,1]"), tmp_path / "run")
    data = without_speaker(corpus, tmp_path / "one", speaker="s1", all="")
    with pytest.raises(LabelError, match="All 18 training rows have 's1' in the field 'speaker', so there is nothing"):
        train(experiment("adversary=speaker", f"data.dir={data}"), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"adversary\.reaches=encoder trains the encoder, and finetune\.mode=none"):
        experiment("adversary=speaker", "adversary.reaches=encoder")
    with pytest.raises(ConfigError, match=r"sweep\.adversary has weights of an adversary of no column"):
        experiment("sweep.adversary=[0,1]")
    assert not (tmp_path / "run" / "config.yaml").exists()
