"""The page that a GPU is measured on: it comes whatever fails, and the script runs to its end without a GPU."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from toys.core import ROOT

from audiossl.core.errors import ConfigError
from benchmarks import gpu
from benchmarks.common import LENGTHS_S, RATE_HZ, without_paths
from benchmarks.gpu_checks import largest_difference
from benchmarks.gpu_forward import BASE_STYLES, STYLES, by_item, distance, layouts_of, num_frames, work
from benchmarks.gpu_training import stepping
from benchmarks.session import Session, sentence_of


def session_in(folder: Path, **options: float) -> Session:
    return Session(torch.device("cpu"), folder, quick=True, command="bash benchmarks/gpu.sh --out DIR", **options)


def test_a_failure_is_a_row_of_the_page_and_the_rest_goes_on(tmp_path: Path) -> None:
    session = session_in(tmp_path / "out")
    with session.part("One"):
        raise ConfigError("There is no | such thing.\nMore of it.")
    with session.part("Two"):
        session.check("a number", 0.5, most=0.1)
        session.check("another", 0.05, most=0.1)
        session.sections["Two"] = "What was found."
    with session.part("Three"):
        raise SystemExit("error: it ended")
    page = (tmp_path / "out/gpu.md").read_text(encoding="utf-8")
    assert "| One runs | ConfigError: There is no / such thing. |  | FAIL |" in page
    assert "| a number | 0.5 | 1e-01 | FAIL |" in page
    assert "| another | 0.05 | 1e-01 | pass |" in page
    assert "1 of 4 checks passed; not: One runs; a number; Three runs" in page
    assert "## Two\n\nWhat was found." in page
    raw = json.loads((tmp_path / "out/gpu.json").read_text(encoding="utf-8"))
    assert [each["passed"] for each in raw["checks"]] == [False, False, True, False]
    assert set(raw["seconds"]) == {"One", "Two", "Three"}


def test_nan_is_no_pass(tmp_path: Path) -> None:
    session = session_in(tmp_path)
    session.check("a distance", float("nan"), most=1.0)
    assert not session.checks[0].passed


def test_what_there_is_no_time_for(tmp_path: Path) -> None:
    session = session_in(tmp_path, budget_s=10.0, started=time.monotonic() - 8)
    assert session.late(0.7) and not session.late()


def test_the_page_names_no_folder_of_the_machine() -> None:
    assert without_paths(["--out", "/a/b", "--rounds", "3", "--data=/c"]) == ["--rounds", "3"]


def test_the_work_is_that_of_the_benchmark_on_cpus() -> None:
    seconds = sorted(len(wav) / RATE_HZ for wav in work(quick=False))
    assert seconds == sorted(LENGTHS_S * 4)
    assert set(BASE_STYLES) < set(STYLES)


def test_items_of_a_batch_have_no_padding() -> None:
    wavs = [torch.zeros(720), torch.zeros(400)]
    assert [num_frames(len(wav)) for wav in wavs] == [2, 1]
    states = [torch.arange(8.0).view(2, 2, 2)]
    items = by_item(states, wavs)
    assert [item[0].tolist() for item in items] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert distance(items, [(2 * items[0][0],), items[1]]) == pytest.approx(0.5)


def test_losses_are_compared_step_by_step() -> None:
    assert largest_difference(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    with pytest.raises(ValueError, match="1 and 2 losses"):
        largest_difference(np.array([1.0]), np.array([1.0, 2.0]))


def test_a_step_of_ours_is_the_trainers(tmp_path: Path) -> None:
    from audiossl.experiments.building import build_objective
    from audiossl.experiments.config import PretrainExperiment
    from audiossl.training.config import TrainerConfig
    from benchmarks.gpu_training import batches_of

    batches = batches_of(session_in(tmp_path), (8.0, 4.0), 1)
    options = {"width": 16, "num_layers": 1, "num_heads": 2, "ffn_width": 32}
    task = build_objective(PretrainExperiment(upstream_options=options))
    step = stepping(task, TrainerConfig(lr=1e-2, device="cpu"), batches)
    losses = [step() for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])


def test_a_sentence_fits_a_cell() -> None:
    assert sentence_of(RuntimeError("a|b\nc")) == "RuntimeError: a/b"
    assert sentence_of(KeyError()) == "KeyError: "


def test_parts_run_in_their_order_and_only_those_that_are_asked_for() -> None:
    found = gpu.measured(["forward", "varlen", "wav2vec2"])
    assert [(name, action.__name__) for name, action in found.items()] == [
        ("varlen", "measure_varlen"),
        ("forward", "measure_forward"),
        ("wav2vec2", "measure_wav2vec2"),
    ]


def test_packed_layouts_are_measured_where_one_call_attends_within_all_items() -> None:
    assert set(layouts_of("hubert, base", "bfloat16").values()) == {"padded", "auto", "packed"}
    assert layouts_of("hubert, base", "float32") == layouts_of("wavlm, base", "bfloat16") == {"audiossl": "auto"}


def measured_on_cpu(folder: Path, *parts: str) -> Session:
    quick = ("--device", "cpu", "--quick", "--rounds", "2", "--budget-s", "3000")
    session = gpu.main(["--out", str(folder), *quick, *(("--only", *parts) if parts else ())])
    assert [each.what for each in session.checks if not each.passed] == []
    return session


@pytest.mark.slow
def test_it_runs_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    session = measured_on_cpu(tmp_path, "pretraining", "heads")
    assert set(session.numbers) >= {"pretraining", "heads"}


@pytest.mark.slow
@pytest.mark.long
def test_all_of_it_runs_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    session = measured_on_cpu(tmp_path)
    assert set(session.numbers) >= {"forward", "fine_tuning", "pretraining", "wav2vec2", "heads"}
    assert all(f"Forward pass: {style}" in session.sections for style in STYLES)
