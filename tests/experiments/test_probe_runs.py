"""A probe that is kept predicts as scikit-learn's model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from toys.probes import write_tones

from audiossl import ProbeOptions, load_run, load_upstream, probe, read_manifest
from audiossl.analysis.functionals import functionals_of
from audiossl.core.errors import ConfigError, OutputError
from audiossl.core.files import read_json, read_jsonl
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.experiments.folder import RunFolder
from audiossl.features.config import CacheConfig

SETTINGS: dict[str, Any] = {"weights": "random"}


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several lengths in two classes, and `third`, in which every fourth is of another one."""
    folder: Path = write_tones(tmp_path_factory.mktemp("töne"), 32)
    lines = (folder / "table.csv").read_text().splitlines()
    rows = [f"{line},{'ab'[n % 2] if n // 2 % 3 else 'c'}" for n, line in enumerate(lines[1:])]
    (folder / "table.csv").write_text("\n".join([f"{lines[0]},third", *rows]) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    return folder


def probabilities(tones: Path, field: str, pooling: str, kept: dict[str, Any]) -> dict[str, Any]:
    """By id, those of scikit-learn's model on the vectors of test."""
    splits, layer = {}, kept["layer"]
    for split in ("train", "test"):
        cuts = read_manifest(tones / f"{split}.jsonl.gz")
        rows = functionals_of(load_upstream("tera_mini", **SETTINGS), cuts, [layer], field=field)
        splits[split] = rows if pooling == "statistics" else rows.means()
    train, test = splits["train"], splits["test"]
    scaler = StandardScaler().fit(train.layers[layer])
    model = LogisticRegression(C=kept["C"], class_weight="balanced", max_iter=2000)
    model.fit(scaler.transform(train.layers[layer]), train.labels)
    return dict(zip(test.ids, model.predict_proba(scaler.transform(test.layers[layer])), strict=True))


@pytest.mark.parametrize(("field", "pooling"), [("label", "mean"), ("third", "statistics")])
def test_it_predicts_as_the_probe(tones: Path, tmp_path: Path, field: str, pooling: str) -> None:
    options = ProbeOptions(field=field, pooling=pooling, probes="knn,linear", layers="0,-1")
    cache = CacheConfig(dir=str(tmp_path / "cache"))
    found = probe(
        "tera_mini", tones, tmp_path / "probe", options, upstream_options=SETTINGS, cache=cache, keep=tmp_path / "run"
    )
    expected = probabilities(tones, field, pooling, found["kept"])
    run, cuts = load_run(tmp_path / "run"), read_manifest(tones / "test.jsonl.gz")
    assert len({cut.duration for cut in cuts}) > 3
    together = {row["id"]: row for row in run.predict(cuts)}
    alone = {cut.id: run.predict(cuts.subset(cut_ids=[cut.id]))[0] for cut in cuts}
    stored = {row["id"]: row for row in read_jsonl(tmp_path / "run" / "test" / "predictions.jsonl")}
    for name, scores in expected.items():
        for row in (together[name], alone[name], stored[name]):
            # The solver stops within its tolerance of the optimum, where exactly depends on the processor.
            np.testing.assert_allclose(row["scores"], scores, atol=1e-3)
            assert row["predicted"] == sorted({"a", "b", "c"} if field == "third" else {"hi", "lo"})[scores.argmax()]
    # Metrics are those of the probe, with the intervals of the task.
    chosen = found["chosen_on_dev"]["linear"]
    metrics = read_json(tmp_path / "run" / "test" / "metrics.json")["metrics"]
    assert metrics == found["kept"]["test"]
    assert {name: metrics[name]["value"] for name in metrics} == pytest.approx(
        {name: chosen["test"][name]["value"] for name in metrics}
    )
    assert metrics["uar"]["low"] is not None
    assert RunFolder(tmp_path / "run").facts.probe == {"name": "linear", "C": chosen["C"], "layer": chosen["layer"]}
    assert RunFolder(tmp_path / "run").is_finished


def test_what_is_there_and_what_cannot_be_kept(tones: Path, tmp_path: Path) -> None:
    options, run = ProbeOptions(probes="linear", layers="0", pooling="mean"), tmp_path / "run"
    given: dict[str, Any] = {"upstream_options": SETTINGS, "keep": run}
    with pytest.raises(ConfigError, match="--probes knn,svm has none .* add linear"):
        probe("tera_mini", tones, tmp_path / "probe", ProbeOptions(probes="knn,svm"), **given)
    assert list(tmp_path.iterdir()) == []
    probe("tera_mini", tones, tmp_path / "probe", options, **given)
    with pytest.raises(OutputError, match="has a run already; choose another folder with --keep, or add --overwrite"):
        probe("tera_mini", tones, tmp_path / "probe", options, **given)
    before = (run / "run.json").stat().st_mtime_ns
    probe("tera_mini", tones, tmp_path / "probe", options, **given, overwrite=True)
    assert (run / "run.json").stat().st_mtime_ns > before
    # An input that lies in what would be replaced is refused before anything is encoded.
    inside = {**given, "upstream_options": {"weights": str(run / "checkpoints" / "best.safetensors")}}
    with pytest.raises(ConfigError, match="is read by this training and lies in"):
        probe("tera_mini", tones, tmp_path / "probe", options, **inside, overwrite=True)
    sound = tmp_path / "é.wav"
    soundfile.write(sound, 0.1 * np.random.default_rng(0).standard_normal((8000, 2)), 8000)
    (row,) = load_run(run).predict([str(sound)])
    assert row["predicted"] in ("hi", "lo") and row["temperature"] is None
