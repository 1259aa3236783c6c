"""Does a run know the order of strengths? Spearman within each kind of degradation, where the order is a fact.

    python recipes/degraded/order.py RUN [RUN ...]

Kinds are compared by fiat alone: nobody has said that Opus at 8 kbit/s is as bad as noise at 0 dB.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_jsonl
from audiossl.core.types import Metric
from audiossl.data.preparation import run
from audiossl.metrics.regression import regression_metrics

KINDS = ("noise", "opus", "clip")


def orders(rows: Sequence[dict[str, Any]]) -> dict[str, Metric]:
    """Spearman of the predictions with minus the strength, by kind, with clean recordings in each.

    rows: predictions of one column.
    """
    found = {}
    for kind in KINDS:
        of_kind = [row for row in rows if row["system"] == "clean" or row["system"].startswith(f"{kind}_")]
        strengths = [-float(row["system"].rpartition("_")[2]) if row["system"] != "clean" else 0.0 for row in of_kind]
        said = [next(iter(row["predicted"].values())) for row in of_kind]
        found[kind] = regression_metrics(strengths, said, [row["speaker"] for row in of_kind])["spearman"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="of this recipe, evaluated on test")
    for folder in parser.parse_args().runs:
        path = folder / "test" / "predictions.jsonl"
        if not path.is_file():
            raise AudiosslError(f"{folder} has no predictions of test; make them with `audiossl evaluate {folder}`.")
        print(folder, *(f"{kind} {metric}" for kind, metric in orders(list(read_jsonl(path))).items()), sep="  ")


if __name__ == "__main__":
    run(main)
