"""`audiossl probe`."""

from __future__ import annotations

import json
from pathlib import Path

from toys.probes import write_tones
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app


def test_command(tmp_path: Path) -> None:
    manifests = write_tones(tmp_path)
    add_commands_of_tasks()
    out = tmp_path / "probe"
    command = [
        "probe",
        "tera_mini",
        "--option=weights=random",
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


def test_a_kept_probe_is_a_run(tmp_path: Path) -> None:
    manifests, run = write_tones(tmp_path), tmp_path / "run"
    add_commands_of_tasks()
    command = ["probe", "tera_mini", "-o", "weights=random", "--data", str(manifests), "--out", str(tmp_path / "probe")]
    keep = ["--probes", "linear", "--layers", "2", "--pooling", "mean", "--keep", str(run)]
    done = CliRunner().invoke(app, [*command, *keep])
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"Run: {run}, the linear probe of layer 2\n")
    done = CliRunner().invoke(app, ["predict", str(run), str(tmp_path / "0.wav"), str(tmp_path / "1.wav"), "--json"])
    assert done.exit_code == 0, done.output
    assert {row["id"]: row["predicted"] for row in map(json.loads, done.stdout.splitlines())} == {"0": "hi", "1": "lo"}
    done = CliRunner().invoke(app, [*command, *keep])
    assert "has a run already" in str(done.exception)
