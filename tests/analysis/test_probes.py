"""Probes: functionals, standardisation by training alone, choices on dev, what is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from audiossl.analysis.functionals import Functionals, functionals_of
from audiossl.analysis.probes import PROBES, best_layers, run_probes
from audiossl.analysis.probing import draw_curves, probes_markdown
from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.loading import load_upstream

torch.set_num_threads(1)


def blobs(num_items: int, seed: int, num_layers: int = 3) -> Functionals:
    """Three classes: layer 0 knows nothing, layer 1 all, layer 2 the first class alone."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(num_items) % 3
    layers = {}
    for layer in range(num_layers):
        vectors = rng.standard_normal((num_items, 4)).astype(np.float32)
        vectors[:, 0] = 7.0  # a constant column
        if layer == 1:
            vectors[:, 1] += 8 * numbers
        if layer == 2:
            vectors[:, 2] += 8 * (numbers == 0)
        layers[layer] = (100 * vectors + 50).astype(np.float32)
    return Functionals(
        [f"i{n}" for n in range(num_items)],
        ["abc"[n] for n in numbers],
        [f"r{n // 6}" for n in range(num_items)],
        layers,
    )


SPLITS = {"train": blobs(60, 0), "dev": blobs(30, 1), "test": blobs(48, 2)}


def test_every_probe_finds_what_a_layer_knows() -> None:
    found = run_probes(SPLITS, list(PROBES))
    assert [(row.probe, row.layer) for row in found] == [(probe, layer) for probe in PROBES for layer in range(3)]
    for row in found:
        value = row.test["uar"].value
        assert {0: value < 0.6, 1: value > 0.85, 2: 0.5 < value < 0.9}[row.layer], row
        assert row.test["uar"].low is not None
        assert row.value in PROBES[row.probe].values
    assert {row.layer for row in best_layers(found).values()} == {1}


def test_the_linear_probe_is_scikit_learns_on_standardised_vectors() -> None:
    (row,) = [row for row in run_probes(SPLITS, ["linear"]) if row.layer == 2]
    scaler = StandardScaler().fit(SPLITS["train"].layers[2])
    values = {}
    for c in PROBES["linear"].values:
        model = LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        model.fit(scaler.transform(SPLITS["train"].layers[2]), SPLITS["train"].labels)
        scores = [
            balanced_accuracy_score(SPLITS[split].labels, model.predict(scaler.transform(SPLITS[split].layers[2])))
            for split in ("dev", "test")
        ]
        values[c] = scores
    assert row.dev["uar"].value == pytest.approx(max(dev for dev, _ in values.values()), abs=0.04)
    assert row.test["uar"].value == pytest.approx(values[row.value][1], abs=0.04)


def test_test_vectors_have_no_say_in_what_is_chosen() -> None:
    other = {**SPLITS, "test": SPLITS["test"]._replace(layers={n: v * 3 + 9 for n, v in SPLITS["test"].layers.items()})}
    first, again = run_probes(SPLITS, ["svm", "knn"]), run_probes(other, ["svm", "knn"])
    assert [(row.value, row.dev) for row in first] == [(row.value, row.dev) for row in again]
    assert [row.test for row in first] != [row.test for row in again]


def test_few_items_leave_out_too_many_neighbours() -> None:
    few = {split: blobs(9, seed) for seed, split in enumerate(SPLITS)}
    assert all(row.value <= 9 for row in run_probes(few, ["knn"]))


def test_wrong_use() -> None:
    with pytest.raises(ConfigError, match="no probe named 'linaer'. Did you mean linear"):
        run_probes(SPLITS, ["linaer"])
    with pytest.raises(ConfigError, match="choose uar, accuracy or f1"):
        run_probes(SPLITS, ["knn"], metric="map")
    one = SPLITS["train"]._replace(labels=["a"] * 60)
    with pytest.raises(LabelError, match=r"at least two labels in training, not \['a'\]"):
        run_probes({**SPLITS, "train": one}, ["knn"])
    labels = ["d" if n == 5 else label for n, label in enumerate(SPLITS["test"].labels)]
    with pytest.raises(
        LabelError, match=r"1 label\(s\) of test were not seen in training, for instance 'd' \(item 'i5'\)"
    ):
        run_probes({**SPLITS, "test": SPLITS["test"]._replace(labels=labels)}, ["knn"])


def test_curves_and_table(tmp_path: Path) -> None:
    found = run_probes(SPLITS, ["linear", "knn"])
    draw_curves(found, "uar", tmp_path / "probes.png", chance=1 / 3)
    assert imread(tmp_path / "probes.png").shape[0] > 300
    table = probes_markdown(found, "uar").splitlines()
    assert table[0] == "| layer | linear: uar (%) | knn: uar (%) |"
    assert len(table) == 5
    assert "**" in table[3]
    assert "(C=" in table[3]
    assert "**" not in table[2] + table[4]


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Tones of two pitches, 24 recordings of several lengths."""
    lines = ["path,label,split,speaker"]
    for number in range(24):
        rng = np.random.default_rng(number)
        samples = np.arange(rng.integers(2000, 6000))
        tone = 0.2 * np.sin(2 * np.pi * (600 + 1500 * (number % 2)) * samples / 16000)
        soundfile.write(tmp_path / f"{number}.wav", tone + 0.01 * rng.standard_normal(len(samples)), 16000)
        split = ("train", "train", "dev", "test")[number // 2 % 4]
        lines.append(f"{number}.wav,{'lo' if number % 2 else 'hi'},{split},s{number // 8}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    return tmp_path


def test_functionals_are_those_of_each_recording_alone(manifests: Path) -> None:
    upstream = load_upstream("tera_mini")
    cuts = read_manifest(manifests / "dev.jsonl.gz")
    found = functionals_of(upstream, cuts, [0, 3], group="speaker")
    assert found.ids == sorted(cut.id for cut in cuts)
    assert found.groups == ["s0", "s1", "s1", "s2", "s2", "s0"] or len(set(found.groups)) == 3
    for place, name in enumerate(found.ids):
        (cut,) = [cut for cut in cuts if cut.id == name]
        states = upstream(torch.from_numpy(cut.load_audio())).layers[3][0]
        expected = torch.cat([states.mean(0), states.std(0)]).detach().numpy()
        np.testing.assert_allclose(found.layers[3][place], expected, atol=2e-5)
    with pytest.raises(LabelError, match="has nothing in the field 'bird'"):
        functionals_of(upstream, cuts, [0], field="bird")


def test_command(manifests: Path, tmp_path: Path) -> None:
    add_commands_of_tasks()
    out = tmp_path / "probe"
    command = [
        "probe",
        "tera_mini",
        "weights=random",
        "--data",
        str(manifests),
        "--out",
        str(out),
        "--probes",
        "linear,knn",
    ]
    done = CliRunner().invoke(app, [*command, "--layers", "0,2"])
    assert done.exit_code == 0, done.output
    assert "| layer | linear: uar (%) | knn: uar (%) |" in done.stdout
    facts = json.loads((out / "probes.json").read_text())
    assert facts["upstream_options"] == {"weights": "random"}
    assert facts["num_items"] == {"train": 12, "dev": 6, "test": 6}
    assert [(row["probe"], row["layer"]) for row in facts["results"]] == [
        ("linear", 0),
        ("linear", 2),
        ("knn", 0),
        ("knn", 2),
    ]
    assert facts["chosen_on_dev"]["linear"]["test"]["uar"]["value"] == 1.0
    assert (out / "probes.png").is_file()
