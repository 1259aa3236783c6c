"""`audiossl export RUN`: one file with encoder, interface and head, which gives what the run predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import LABELS
from toys.engines import load
from toys.graphs import write_windowed

from audiossl import DOWNSTREAMS, load_run, load_upstream
from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probing import probe_upstream
from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut
from audiossl.encoders.testing import noise, relative_distance
from audiossl.experiments import exporting
from audiossl.experiments.exporting import export_run, export_task, is_exported_whole
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.training.downstream import Downstream
from audiossl.training.interface import build_interface

Make = Callable[..., Any]
TEXT = {"symbols": list("ab ")}
SPEAKERS = {"speakers": ["a", "b"], "embedding_width": 8}
HEADS: list[tuple[str, dict[str, Any], str, str]] = [
    ("asr", {"text": TEXT, "head": {"hidden": 4, "projector_width": 4}}, "weighted_sum", "base"),
    ("speaker_verification", {**SPEAKERS, "projector_width": 8, "tdnn": [[8, 5, 1], [8, 3, 2]]}, "concat", "tera"),
    ("speaker_verification", {**SPEAKERS, "head": "ecapa", "ecapa_channels": 8}, "weighted_sum", "base"),
    ("bioacoustic_windows", {"labels": ["x", "y"]}, "grouped_weighted_sum", "wavlm"),
    ("bioacoustics", {"labels": ["x", "y"], "hidden": [4], "pooling": "attention"}, "cls_pooling", "large"),
    ("emotion", {"labels": ["x", "y"], "pooling": "attentive_statistics"}, "hierarchical_conv", "data2vec"),
]


def task_of(name: str, options: dict[str, Any], interface: str, encoder: str) -> Downstream:
    upstream, kind = load(encoder), DOWNSTREAMS.load(name)
    made: Downstream = kind(upstream, build_interface(interface, upstream.widths, {}), structured(kind.Config, options))
    return made


def check(name: str, options: dict[str, Any], interface: str, encoder: str, path: Path) -> None:
    """The file gives the task's outputs, and `onnx:` its encoder."""
    pytest.importorskip("onnxscript")
    task = task_of(name, options, interface, encoder)
    task.standardize()
    assert task.interface.standardization is not None
    task.interface.standardization.fitted.fill_(True)
    facts = export_task(task, path, {"task": name}, "The graph")
    assert facts["largest_difference"] < 1e-4
    read = load_upstream(f"onnx:{path}")
    (wav,) = noise(task.upstream, [1.1])
    pairs = zip(read(wav[None]).layers, task.upstream(wav[None]).layers, strict=False)
    assert max(relative_distance(one, other) for one, other in pairs) < 1e-4


@pytest.mark.slow
def test_recognition(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    check(*HEADS[0], tmp_path / "x.onnx")
    program = load_upstream(str(tmp_path / "x.onnx")).program  # type: ignore[attr-defined]
    said = json.loads(program.metadata["audiossl"])
    assert (said["labels"], said["outputs"], said["task"]) == (["", "a", "b", " "], ["log_probs"], "asr")


@pytest.mark.slow
@pytest.mark.long  # 20 s each
@pytest.mark.parametrize("head", HEADS[1:])
def test_every_head(tmp_path: Path, head: tuple[str, dict[str, Any], str, str]) -> None:
    pytest.importorskip("onnxruntime")
    check(*head, tmp_path / "x.onnx")


@pytest.mark.slow
def test_a_run_as_the_command_exports_it(
    audiossl: Callable[..., Any], experiment: Make, corpus: Path, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = train(experiment("trainer.steps=10", "upstream=distil_mini"), tmp_path / "run")
    file = tmp_path / "run.onnx"
    done = audiossl("export", folder, "--out", file)
    assert done.code == 0, done.err
    assert "layer(s) and logits, scores of utterance_classification, inputs of" in done.out
    run, session = load_run(folder, device="cpu"), runtime.InferenceSession(str(file))
    cuts = read_manifest(corpus / "test.jsonl.gz")
    rows = {row["id"]: row for row in run.predict(cuts)}
    for cut in cuts:
        logits, scores = session.run(["logits", "scores"], {"wav": read_cut(cut, 16000)[None]})
        for found, name in ((logits, "logits"), (scores, "scores")):
            # Pure tones: the bands beside them are rounding, of which a logarithm makes much.
            torch.testing.assert_close(found[0].tolist(), rows[cut.id][name], rtol=2e-3, atol=2e-3)
    said = json.loads(session.get_modelmeta().custom_metadata_map["audiossl"])
    assert (said["labels"], said["fingerprint"]) == (sorted(LABELS), run.fingerprint)
    assert load_upstream(f"onnx:{file}").num_frames(16000) == run.task.upstream.num_frames(16000)


def test_a_graph_that_differs_is_not_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "traced", lambda *_, **__: None)
    monkeypatch.setattr(exporting, "write_onnx", lambda program, path, *_: path.write_bytes(b"\x08"))
    monkeypatch.setattr(exporting, "require_onnx", lambda: None)
    monkeypatch.setattr(exporting, "_difference", lambda *_: 0.5)
    with pytest.raises(ConfigError, match="The graph of .*run differs from eager by 5.0e-01"):
        export_run(run, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()
    monkeypatch.setattr(exporting, "_difference", lambda *_: 1e-6)
    assert export_run(run, tmp_path / "x.onnx")["outputs"] == ["logits", "scores"]


def test_what_is_not_exported_says_so(
    audiossl: Callable[..., Any], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_exported_whole(run) and not is_exported_whole(tmp_path)
    for arguments in (("--format", "torch-export"), ("--up-to-layer", "0"), ("-o", "weights=random")):
        done = audiossl("export", run, "--out", tmp_path / "x.onnx", *arguments)
        assert (done.code, "is a run, which is exported whole, as onnx" in done.err) == (2, True), done.err
    monkeypatch.setattr(RunFolder, "kind", "cross_validation")
    monkeypatch.setattr(exporting, "require_onnx", lambda: None)
    done = audiossl("export", run, "--out", tmp_path / "x.onnx")
    assert (done.code, "is a cross-validation, whose predictions are means" in done.err) == (2, True), done.err


@pytest.mark.slow
def test_an_exported_encoder_takes_part(experiment: Make, corpus: Path, tmp_path: Path) -> None:
    """A graph that somebody else made: in training, evaluation and probes, its states from the feature cache."""
    pytest.importorskip("onnxruntime")
    file = write_windowed(tmp_path / "theirs.onnx")
    settings = (f"upstream=onnx:{file}", "upstream_options.outputs=[embedding]", f"cache.dir={tmp_path / 'features'}")
    folder = train(experiment(*settings, "features=pooled", "trainer.steps=20", "trainer.lr=0.1"), tmp_path / "run")
    run = load_run(folder, device="cpu")
    assert run.evaluate()["accuracy"].value > 0.6
    assert list((tmp_path / "features").rglob("*.json"))
    with pytest.raises(ConfigError, match="is a graph already"):
        export_run(folder, tmp_path / "again.onnx")
    asked = ProbeOptions(probes="linear")
    facts = probe_upstream(f"onnx:{file}", corpus, tmp_path / "probe", asked, {"outputs": ["embedding"]}).facts
    assert [row["layer"] for row in facts["results"]] == [0]
