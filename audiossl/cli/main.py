"""The command line. Nothing heavy is imported here: each command imports what it needs when it runs."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from audiossl.cli import (
    analyse,
    archive,
    cache,
    callers,
    config,
    data,
    demo,
    discriminate,
    encoders,
    evaluating,
    factors,
    fuse,
    probing,
    push,
    recipes,
    segment,
    segment_probes,
    suggest,
    suite,
    suite_analysis,
    units,
)
from audiossl.cli.options import AsJson, PredictionsFile, RunPlace, UpstreamOptions, upstream_options
from audiossl.cli.tables import PlainFormatter, add_row, console, new_table
from audiossl.core.errors import AudiosslError, ConfigError, os_error_sentence
from audiossl.core.untrusted import shown

app = typer.Typer(
    help="Self-supervised learning for speech and audio: encoders, layer weighting, tasks, evaluation.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data", help="Make, check and describe manifests.")
app.add_typer(suite.app, name="suite", help="Upstreams on many tasks: plan, run, compare and show them.")
suite.app.command("analyse")(suite_analysis.analyse)
app.add_typer(recipes.app, name="recipe", help="List, show and copy the recipes that come with the package.")
app.add_typer(cache.app, name="cache", help="List, check and remove hidden states that are kept.")
app.add_typer(factors.app, name="factors", help="Utterance factors: a vector beside what is said, fitted and applied.")
app.add_typer(units.app, name="units", help="Discrete units: clusters of frames, fitted, applied and judged.")
app.add_typer(segment.app, name="segment", help="Boundaries of words or syllables, found without training.")


Overrides = Annotated[Optional[list[str]], typer.Argument(help="Settings as key=value.", show_default=False)]  # noqa: UP045
OutFolder = Annotated[Optional[Path], typer.Option("--out", help="The run folder.", show_default=False)]  # noqa: UP045
Resume = Annotated[Optional[Path], typer.Option(help="Go on with this run, exactly.", show_default=False)]  # noqa: UP045
Overwrite = Annotated[bool, typer.Option(help="Replace a run that is there.")]


@app.command("list")
def list_names(
    kind: Annotated[
        str, typer.Argument(help="upstreams, downstreams, interfaces, objectives, executors")
    ] = "upstreams",
    pattern: Annotated[str, typer.Argument(help="A shell pattern, or a part of the name.")] = "*",
    as_json: AsJson = False,
) -> None:
    """List the names that can be used."""
    registry = _registry(kind)
    cards = [registry.card(name) for name in registry.names(pattern)]
    if as_json:
        print(json.dumps([card.as_json() for card in cards], indent=2))
        return
    if not cards:
        print(f"No name matches {pattern!r}.")
        return
    longest = max(len(card.name) for card in cards)
    for card in cards:
        print(f"{card.name:<{longest}}  {card.summary}")


@app.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(help="A name of any kind; KIND:NAME where kinds share it, for instance objective:tera."),
    ],
    option: UpstreamOptions = None,
    as_json: AsJson = False,
) -> None:
    """Say what a name stands for: its card, and for an encoder its layers and frames."""
    from audiossl.cli.inspect import describe_name

    facts = describe_name(name, upstream_options(option))
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    # Facts are one table, settings another below it.
    settings = facts.pop("settings", [])
    made = new_table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for key, value in facts.items():
        add_row(made, (key, value if isinstance(value, str) else json.dumps(value)))
    console().print(made)
    if settings:
        made = new_table("setting", "default", "meaning", box=None, pad_edge=False)
        for setting in settings:
            default = "required" if setting["required"] else json.dumps(setting["default"])
            add_row(made, (setting["name"], default, setting["doc"]))
        console().print("", made)


app.command("config")(config.config)


app.command()(encoders.embed)
app.command()(encoders.export)
app.command()(encoders.convert)
app.command()(push.push)
app.command()(cache.extract)


@app.command()
def train(
    recipe: Annotated[Optional[Path], typer.Argument(help="A recipe's YAML.", show_default=False)] = None,  # noqa: UP045
    overrides: Overrides = None,
    to: OutFolder = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
) -> None:
    """Train a head on an encoder, frozen or fine-tuned with it (finetune=all, lora, ...)."""
    from audiossl.experiments.start import train as start

    _run(start, recipe, overrides or [], to, resume, overwrite, pretrain=False)


@app.command()
def pretrain(
    recipe: Annotated[Optional[Path], typer.Argument(help="A recipe's YAML.", show_default=False)] = None,  # noqa: UP045
    overrides: Overrides = None,
    to: OutFolder = None,
    resume: Resume = None,
    overwrite: Overwrite = False,
) -> None:
    """Pre-train an encoder on unlabelled sound."""
    from audiossl.experiments.training import pretrain as start

    _run(start, recipe, overrides or [], to, resume, overwrite, pretrain=True)


app.command()(evaluating.evaluate)


@app.command()
def predict(
    run: RunPlace,
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: PredictionsFile = None,
    as_json: AsJson = False,
) -> None:
    """Predict recordings with a trained run: labels, transcripts, embeddings, whatever its task gives."""
    from audiossl.core.outputs import check_out
    from audiossl.core.untrusted import json_text
    from audiossl.data.inputs import cuts_of
    from audiossl.data.reading import path_of
    from audiossl.experiments.loading import load_run
    from audiossl.experiments.prediction_files import BEGINS, check_ending, write_predictions

    if to:
        check_ending(to)
    loaded, cuts = load_run(run), cuts_of(inputs)
    if to:
        check_out(to, "file", [*inputs, *(path for cut in cuts if (path := path_of(cut)))], begins=BEGINS[to.suffix])
    rows = sorted(loaded.predict(cuts), key=lambda row: row["id"])
    if to:
        write_predictions(to, rows)
    if as_json:
        print("\n".join(map(json_text, rows)))
        return
    columns = [loaded.task.columns(row) for row in rows]
    made = new_table("recording", *columns[0], box=None, pad_edge=False)
    for row, found in zip(rows, columns, strict=True):
        add_row(made, (row["id"], *found.values()))
    console().print(made)


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders; the first is what the others are compared with. A sweep is its best run of each seed."
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("report"),
    table: Annotated[
        Path | None, typer.Option("--table", help="A .csv, .md or .tex that gets the table of figures.")
    ] = None,
) -> None:
    """Compare runs in one HTML page: table with intervals, paired differences, layer weights, learning curves."""
    from audiossl.report import build_report, summary_note, summary_table
    from audiossl.report.comparison import comparisons
    from audiossl.report.runs import read_runs
    from audiossl.report.tables import check_table, write_table

    if table:
        check_table(table)
    made = build_report(runs, to)
    console().print(summary_table(runs))
    if note := summary_note(runs):
        console().print(shown(note))
    if paired := comparisons(read_runs(runs)):
        _print_paired(paired)
    if table:
        write_table(runs, table)
        print(f"Table: {table}")
    print(f"Report: {made}")


def _print_paired(found: Sequence[Any]) -> None:
    """Runs minus the first one of their task, on the same items."""
    from audiossl.metrics.formatting import with_unit

    made = new_table("run", "minus", "split", "measure", "difference", "95 % interval", "p", "over", title="Paired")
    for row in found:
        cells = row.cells
        over = "; ".join(filter(None, [cells["clusters"], row.remark]))
        shown_cells = (cells["difference"], cells["interval"], cells["p_value"], over)
        add_row(made, (row.run, row.baseline, row.split, with_unit(row.measure), *shown_cells))
    console().print(made)


for _command in (demo.demo, probing.probe, callers.callers, segment_probes.probe_segments, suggest.suggest, fuse.fuse):
    app.command()(_command)
for _command in (
    analyse.analyse,
    discriminate.discriminate,
    archive.index,
    archive.search,
    archive.cluster,
    archive.novelty,
):
    app.command()(_command)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the installation: versions, devices, cache folders, optional extras."""
    from audiossl.cli.inspect import diagnose

    findings = diagnose()
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        made = new_table("", "check", "found", box=None, pad_edge=False)
        sign = {"ok": "[green]ok[/]", "missing": "[yellow]--[/]", "wrong": "[red]!![/]"}
        for finding in findings:
            made.add_row(sign[finding.status], *map(shown, (finding.check, f"{finding.found} {finding.fix}".rstrip())))
        console().print(made)
    if any(finding.status == "wrong" for finding in findings):
        raise typer.Exit(1)


def add_commands_of_tasks() -> None:
    """Add the commands of the cards of downstreams, in the order of their names. A second call changes nothing."""
    from audiossl.core.registry import DOWNSTREAMS, import_target

    known = {command.name for command in app.registered_commands}
    cards = [DOWNSTREAMS.card(name) for name in DOWNSTREAMS.names()]
    found = {name: address for card in cards for name, address in card.commands.items()}
    groups = {group.name: group.typer_instance for group in app.registered_groups if group.typer_instance}
    for name in sorted(found.keys() - known):
        group, _, verb = name.rpartition(" ")  # "lm train" is the command train of the group lm
        if not group:
            app.command(name)(import_target(found[name]))
            continue
        if group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True)
            app.add_typer(groups[group], name=group)
        if verb not in {command.name for command in groups[group].registered_commands}:
            groups[group].command(verb)(import_target(found[name]))


def main() -> None:
    """Entry point: errors that are the user's to mend are one sentence, without a traceback."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("audiossl.experiments").setLevel(logging.INFO)  # what is computed once, and why
    try:
        add_commands_of_tasks()
        app()
    except AudiosslError as error:
        _fail(str(error))
    except OSError as error:  # of a file or a disk, wherever it came up
        _fail(os_error_sentence(error))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def _fail(sentence: str) -> None:
    console(stderr=True).print("[red]error:[/]", shown(sentence))
    sys.exit(2)


def _run(
    action: Any,
    recipe: Path | None,
    overrides: list[str],
    to: Path | None,
    resume: Path | None,
    overwrite: bool,
    *,
    pretrain: bool,
) -> None:
    from audiossl.core.terminal import Interrupted
    from audiossl.encoders.naming import named_by
    from audiossl.experiments.config import default_out, read_experiment
    from audiossl.experiments.folder import RunFolder

    if resume and recipe and "=" in str(recipe):  # `--resume RUN key=value`: the first argument is no recipe
        overrides, recipe = [str(recipe), *overrides], None
    if resume and recipe:
        raise ConfigError("--resume reads the run's own configuration; leave the recipe out.")
    if not resume and (recipe is None or ("=" in str(recipe) and not recipe.exists())):
        before = f", before {recipe}" if recipe else ""
        raise ConfigError(
            f"Give a recipe's YAML first{before}, for instance recipes/fsdd/keyword_spotting.yaml, or --resume RUN."
        )
    config: Any
    if resume and not pretrain:
        config = RunFolder(resume).config(overrides)
    else:
        path = RunFolder(resume).config_path if resume else recipe
        config = read_experiment(path, overrides, pretrain=pretrain, saved=resume is not None)
    folder = resume or to or default_out(recipe, config)
    # What a run's own configuration names is not fetched unasked: the folder may be from elsewhere.
    given = [pair.partition("=")[2] for pair in overrides]
    try:
        with named_by(resume, paths=True, asked=given) if resume else nullcontext():
            action(config, folder, resume=resume is not None, overwrite=overwrite)
    except Interrupted as stop:
        command = f"audiossl {'pretrain' if pretrain else 'train'} --resume {shlex.quote(str(folder))}"
        print(f"{stop} Go on with: {command}", file=sys.stderr)
        sys.exit(130)
    finally:
        _leave_process_group()
    print(f"Run: {folder}")


def _leave_process_group() -> None:
    """Under torchrun, end the threads of the process group: left to the interpreter's exit, they may abort it."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _registry(kind: str) -> Any:
    from audiossl.core import registry
    from audiossl.core.errors import did_you_mean
    from audiossl.experiments.executors.contract import EXECUTORS

    kinds = {f"{kind.kind}s": kind for kind in (*registry.REGISTRIES, EXECUTORS)}
    name = kind if kind.endswith("s") else f"{kind}s"
    if name not in kinds:
        raise ConfigError(f"There is nothing called {kind!r} to list. {did_you_mean(kind, kinds)}")
    return kinds[name]


if __name__ == "__main__":
    main()
