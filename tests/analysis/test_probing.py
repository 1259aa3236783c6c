"""Curves over layers, and the table."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imread
from toys.probes import SPLITS

from audiossl.analysis.probes import run_probes
from audiossl.analysis.probing import draw_curves, probes_markdown


def test_curves_and_table(tmp_path: Path) -> None:
    found = run_probes(SPLITS, ["linear", "knn"])
    draw_curves(found, "uar", tmp_path / "probes.png", chance=1 / 3)
    assert imread(tmp_path / "probes.png").shape[0] > 300
    table = probes_markdown(found, "uar").splitlines()
    assert table[0] == "| layer | linear: uar (%) | knn: uar (%) |"
    assert len(table) == 5 + 2
    assert table[-1].startswith("95 % intervals over ") and "recordings" in table[-1]
    assert "**" in table[3]
    assert "(C=" in table[3]
    assert "**" not in table[2] + table[4]
