"""`audiossl stack`: weak learners over several encoders as one. Nothing heavy is imported before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer


def stack(
    data: Annotated[Path, typer.Argument(help="A folder with the manifests train and test.")],
    upstreams: Annotated[list[str], typer.Option("--upstream", help="An encoder; give it again for another one.")],
    column: Annotated[str, typer.Option(help="The column of the number.")] = "label",
    regressors: Annotated[
        str, typer.Option(help="Of ridge, linear_svr, svr and forest.")
    ] = "ridge,linear_svr,svr,forest",
    split: Annotated[str, typer.Option(help="What is predicted.")] = "test",
    cache_folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--dir", help="Folder of the feature cache; $AUDIOSSL_CACHE/features.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Predict a number by regressors on the means of several encoders, stacked without leaking folds of speakers."""
    from audiossl.core.comma_lists import comma_list
    from audiossl.core.types import Metric, metrics_as_json
    from audiossl.downstreams.utterance_regression.encoded import rows_of_splits
    from audiossl.downstreams.utterance_regression.stacking import stacked
    from audiossl.features.config import CacheConfig
    from audiossl.metrics.formatting import interval_written, intervals_note, written

    cache = CacheConfig(dir=str(cache_folder or ""))
    rows = rows_of_splits(data, upstreams, column, ["train", split], cache)
    found = stacked(rows["train"], rows[split], comma_list(regressors))
    if as_json:
        told = {
            "metrics": metrics_as_json(found.metrics),
            "learners": {name: metrics_as_json(each) for name, each in found.learners.items()},
            "differences": {name: each._asdict() for name, each in found.differences.items()},
        }
        print(json.dumps(told))
        return
    print(f"{len(found.learners)} weak learners as one on {split}:")
    for name, metric in found.metrics.items():
        print("  " + "  ".join((name.ljust(9), written(name, metric.value).ljust(7), interval_written(name, metric))))
    print(intervals_note(found.metrics))
    print("Mean absolute error of each, and that of the stack minus it:")
    for name, difference in found.differences.items():
        own, apart = written("mae", found.learners[name]["mae"].value), Metric(*difference[:3])
        cells = (name.ljust(24), own.ljust(7), written("mae", apart.value).rjust(9), interval_written("mae", apart))
        print("  " + "  ".join(cells))
