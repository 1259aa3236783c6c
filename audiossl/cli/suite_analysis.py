"""`audiossl suite analyse`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.cli.analyse import VIEWS, Views
from audiossl.cli.options import CacheFolder, MaxGb, kept_states, takes_fields_of
from audiossl.cli.tables import console
from audiossl.core.errors import ConfigError
from audiossl.core.untrusted import shown


@takes_fields_of(AnalyseOptions)
def analyse(
    results: Annotated[str, typer.Argument(help="A results folder that `audiossl suite run` wrote, or its URL.")],
    name: Annotated[str, typer.Argument(help="A recipe of the suite, or with --data a name of yours.")],
    options: AnalyseOptions,
    views: Views = VIEWS,
    data: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A manifest in place of the recipe's; again for each further one.", show_default=False),
    ] = None,
    split: Annotated[str, typer.Option(help="Of the recipe.")] = "test",
    cache: Annotated[bool, typer.Option(help="Keep what is encoded, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
) -> None:
    """What each layer of the encoders of a suite shares with what. `suite report` then has pages of it."""
    from audiossl.analysis.layerwise.study import study_layers
    from audiossl.analysis.layerwise.writing import markdown, write_study
    from audiossl.experiments.suites.lockfile import read_lock
    from audiossl.experiments.suites.mirror import working_folder
    from audiossl.experiments.suites.results import ResultsFolder, folder_of

    with working_folder(results, _say) as place:
        kept = ResultsFolder(place.path)
        encoders = _asked([each.choice for each in read_lock(kept.path, None, _say).encoders], options)
        manifests = data or [_manifest(kept.data(name), split)]
        out = kept.analyses_path / folder_of(name)
        study = study_layers(encoders, manifests, views, out, options, kept_states(cache, folder, max_gb))
        command = shlex.join(["audiossl", *sys.argv[1:]])
        write_study(study, out, {"command": command, "data": [path.name for path in manifests]})
    print(f"{markdown(study)}\n\nResults: {results}; `audiossl suite report {results}` makes pages of it.")


def _asked(choices: Sequence[Any], options: AnalyseOptions) -> list[Any]:
    """The encoders of a suite, but for random weights that stand beside the trained ones anyway."""
    from audiossl.analysis.callers import AskedEncoder

    made = [AskedEncoder(each.label, each.name, each.options) for each in choices]
    beside = [(each.name, {**each.options, "weights": "random"}) for each in made if "weights" not in each.options]
    return [each for each in made if not (options.random and (each.name, each.options) in beside)]


def _manifest(folder: Path, split: str) -> Path:
    """Of a recipe, below the results. Raises ConfigError where it has none, or not that split."""
    path = folder / f"{split}.jsonl.gz"
    if not path.is_file():
        there = sorted(each.name.removesuffix(".jsonl.gz") for each in folder.glob("*.jsonl.gz"))
        what = f"has the splits {', '.join(there)} and not {split!r}" if there else "has no manifests"
        raise ConfigError(f"{folder} {what}; take another --split, or name manifests with --data.")
    return path


def _say(line: str) -> None:
    console(stderr=True).print(shown(line))
