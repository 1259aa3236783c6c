"""`audiossl decode` and `audiossl lm train`. Nothing heavy is imported before they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help="Settings as key=value, for instance task.decoding.lm=lm.arpa.", show_default=False),
]


def decode(
    run: Annotated[Path, typer.Argument(help="An ASR run, evaluated with --keep-emissions.")],
    settings: Settings = None,
    split: Annotated[str, typer.Option(help="What is decoded.")] = "test",
    checkpoint: Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")] = "",
    as_json: AsJson = False,
) -> None:
    """Decode a split again by beam search, language model, hot words: from kept emissions, without the encoder.

    Weights that are not given are chosen on dev. What `audiossl evaluate` has written of the split is replaced.
    """
    from audiossl.core.types import Metric, metrics_as_json
    from audiossl.downstreams.asr.search.decoding_again import decode_again
    from audiossl.metrics.formatting import cells_written

    made = decode_again(run, split, checkpoint, _with_method(settings or []))
    if as_json:
        told = {
            "metrics": metrics_as_json(made.metrics),
            "decoding": made.facts,
            "minus_best_path": made.gain._asdict(),
        }
        print(json.dumps(told))
        return
    for name, metric in made.metrics.items():
        shown, value, interval = cells_written(name, metric)
        print(f"{shown:<18} {value:>6}  {interval}".rstrip())
    _, value, interval = cells_written(made.measure or next(iter(made.metrics)), Metric(*made.gain[:3]))
    of = f"{made.measure}, " if made.measure else ""
    print(f"{of + 'minus best path':<18} {value:>6}  {interval}".rstrip())
    if "lm_weight" in made.facts:
        chosen = " (chosen on dev)" if "chosen_on_dev" in made.facts else ""
        print(
            f"task.decoding.lm_weight={made.facts['lm_weight']:g} task.decoding.word_score="
            f"{made.facts['word_score']:g}{chosen}"
        )


def lm_train(
    texts: Annotated[list[Path], typer.Argument(help="Manifests with transcripts, or text files, a sentence a line.")],
    to: Annotated[Path, typer.Option("--out", help="The ARPA file.")],
    order: Annotated[int, typer.Option(min=1, max=10, help="Longest sequence of words that is counted.")] = 3,
    run: Annotated[
        Path | None, typer.Option(help="An ASR run, as whose transcripts the text is normalised.", show_default=False)
    ] = None,
    units: Annotated[bool, typer.Option("--units", help="Of the run's units in place of words.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it is there.")] = False,
) -> None:
    """Make an n-gram language model of transcripts: modified Kneser-Ney, as ARPA."""
    from audiossl.core.outputs import check_new
    from audiossl.downstreams.asr.search.ngrams import estimate, write_arpa
    from audiossl.downstreams.asr.search.texts import sentences_of

    check_new(to, texts, overwrite=overwrite)
    model = estimate(sentences_of(texts, run, as_units=units), order)
    write_arpa(to, model)
    counts = ", ".join(f"{len(table)} of {number}" for number, table in enumerate(model.tables, start=1))
    print(f"{to}: n-grams by length: {counts}")


def _with_method(settings: list[str]) -> list[Any]:
    """Whoever decodes again wants a search, unless said otherwise."""
    named = any(pair.split("=")[0] in ("task.decoding", "task.decoding.method") for pair in settings)
    return settings if named else ["task.decoding.method=beam", *settings]
