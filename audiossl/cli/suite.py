"""`audiossl suite`: upstreams on many tasks, planned, computed, compared and shown."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from audiossl.cli.options import AsJson
from audiossl.cli.tables import add_row, console, new_table
from audiossl.core.errors import ConfigError
from audiossl.core.files import is_url
from audiossl.core.untrusted import shown

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A suite of `audiossl suite list`, or the path of a YAML file.")]
Upstreams = Annotated[
    list[str],
    typer.Option(
        "--upstream",
        help="An encoder, NAME:random for random weights, NAME,key=value for options; may be repeated.",
    ),
]
Data = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--data", help="Folder of the corpora; $AUDIOSSL_DATA.", show_default=False),
]
Results = Annotated[str, typer.Argument(help="A results folder that `audiossl suite run` wrote, or its URL.")]
OutOption = Annotated[str, typer.Option("--out", help="The results folder, or a URL, such as s3://bucket/results.")]
Only = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--only", help="A task RECIPE/YAML of the suite; may be repeated.", show_default=False),
]
Overrides = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(help="Settings of every experiment as key=value.", show_default=False),
]
Budget = Annotated[
    str,
    typer.Option(help="Full trainings for the search in each cell, or minutes for all heads, as 10m. 0 for all."),
]


ExecutorName = Annotated[str, typer.Option("--executor", help="serial, pool, slurm, ray, or a plug-in's.")]
ExecutorOptions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--executor-option", help="The executor's own, as key=value.", show_default=False),
]
Jobs = Annotated[int, typer.Option(help="Cells at once on this machine. 0 for what suits it.")]
Shard = Annotated[str, typer.Option(help="i/n for the i-th of n parts of the cells, the first being 1.")]
Retries = Annotated[int, typer.Option(help="How often a cell is begun again whose worker died.")]


@app.command("list")
def list_suites(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Suites, or paths of YAML files. All that are installed by default.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Suites, their tasks, and what data each needs."""
    from audiossl.core.config import as_dict
    from audiossl.experiments.suites.definition import read_suite, suite_files

    suites = [read_suite(name) for name in names or suite_files()]
    if as_json:
        print(json.dumps([as_dict(suite) for suite in suites], indent=2))
        return
    out = console()
    for suite in suites:
        out.print(shown(f"{suite.name}, version {suite.version}: {suite.title}"), style="bold")
        for name, task in suite.tasks.items():
            for line in _task_lines(name, task):
                out.print(shown(line))
        out.print()


def _task_lines(name: str, task: Any) -> Iterator[str]:
    """What a task is and needs. Lines rather than a table: names and ways to get data are long."""
    from audiossl.experiments.suites.definition import why_missing

    yield f"  {name}: {task.title} ({task.metric})"
    missing = why_missing(name, task)
    data = f"folder {task.corpus} below --data" + (f", {task.get}" if task.get else "")
    yield f"      missing: {missing}" if missing else f"      {data}"


@app.command()
def plan(
    suite: Name,
    upstream: Upstreams,
    overrides: Overrides = None,
    data: Data = None,
    to: OutOption = "results",
    only: Only = None,
    budget: Budget = "0",
    as_json: AsJson = False,
) -> None:
    """Cells of a suite, what they will cost, and what is there already. Nothing is computed."""
    from audiossl.experiments.suites.forecast import forecast
    from audiossl.experiments.suites.plan import make_plan
    from audiossl.experiments.suites.results import ResultsFolder

    folder = ResultsFolder(_at(to))
    asked = _asked(suite, upstream, overrides, data, only)
    made = make_plan(_within(asked, budget, folder.path, keep=False), folder)
    costs = forecast(made)
    if as_json:
        print(json.dumps(costs.as_json(made), indent=2))
        return
    out = console()
    table = new_table("task", "upstream", "seed", "state", "minutes", box=None, pad_edge=False)
    for cell in made.cells:
        minutes = costs.seconds(cell) / 60
        state = f"{cell.state}: {cell.why}" if cell.why else cell.state
        shown_minutes = f"{minutes:.1f}" if minutes else ""
        add_row(table, (cell.task, cell.encoder.choice.label, cell.seed, state, shown_minutes))
    out.print(table)
    for line in (*costs.lines(made), *(f"{name} is left out: {why}." for name, why in made.left_out.items())):
        out.print(shown(line))


@app.command()
def run(
    suite: Name,
    upstream: Upstreams,
    overrides: Overrides = None,
    data: Data = None,
    to: OutOption = "results",
    only: Only = None,
    budget: Budget = "0",
    executor: ExecutorName = "",
    executor_option: ExecutorOptions = None,
    jobs: Jobs = 0,
    shard: Shard = "1/1",
    retries: Retries = 1,
) -> None:
    """Compute what is missing of a suite. The same command goes on where it was stopped."""
    asked = _asked(suite, upstream, overrides, data, only)
    _compute(asked, to, _executor(executor, executor_option, jobs), shard, retries, budget)


@app.command()
def repeat(
    lock: Annotated[str, typer.Argument(help="A results folder or its URL, or a suite.json.")],
    to: OutOption = "repeated",
    data: Data = None,
    executor: ExecutorName = "",
    executor_option: ExecutorOptions = None,
    jobs: Jobs = 0,
    shard: Shard = "1/1",
    retries: Retries = 1,
) -> None:
    """Compute what a results folder says was asked for, with the same encoders."""
    from audiossl.experiments.suites.lockfile import read_lock

    asked = read_lock(_at(lock), _corpora(data), _say)
    _compute(asked, to, _executor(executor, executor_option, jobs), shard, retries)


def _at(results: str) -> Path:
    if not is_url(results):
        return Path(results)
    from audiossl.experiments.suites.mirror import results_at

    return results_at(results)


def _compute(asked: Any, to: str, how: tuple[str, dict[str, Any]], shard: str, retries: int, budget: str = "") -> None:
    from audiossl.experiments.suites.mirror import working_folder

    with working_folder(to, _say) as place:
        within = _within(asked, budget, place.path) if budget else asked
        _compute_in(place, within, to, how, shard, retries)


def _within(asked: Any, budget: str, results: Path, *, keep: bool = True) -> Any:
    """What is wanted, with the full trainings that a budget comes to. `keep`: whether the folder is to know it."""
    from audiossl.experiments.suites.budget import parse_budget, with_budget
    from audiossl.experiments.suites.results import ResultsFolder

    return with_budget(asked, parse_budget(budget), ResultsFolder(results), _reckoned, _say, keep=keep)


def _reckoned(plan: Any, budget: Any) -> float:
    from audiossl.experiments.suites.minutes import trainings_in  # only where minutes are new: it takes a second

    return trainings_in(plan, budget)


def _compute_in(place: Any, asked: Any, to: str, how: tuple[str, dict[str, Any]], shard: str, retries: int) -> None:
    from audiossl.experiments.suites.plan import make_plan
    from audiossl.experiments.suites.results import ResultsFolder

    folder = ResultsFolder(place.path)
    before = make_plan(asked, folder)
    if before.is_done:
        if not folder.is_collected:
            folder.collect()
        print(f"All {len(before.cells)} cells are done; see `audiossl suite report {to}`.")
        _say_left_out(before)
        return
    # What computes takes longer to import than it takes to see that there is nothing to compute.
    from audiossl.experiments.executors.making import make_executor
    from audiossl.experiments.suites.forecast import is_short_of_disk
    from audiossl.experiments.suites.run import run_suite
    from audiossl.experiments.suites.runner import RunOptions
    from audiossl.features.extraction import parse_shard

    share = parse_shard(shard)
    name, options = how
    worker = place.through(make_executor(name, folder.path, _say, options))
    wanted = RunOptions(retries=retries, share=share, width=worker.width, drop=is_short_of_disk(before))
    try:
        after = run_suite(asked, folder, worker, wanted, _say)
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        raise typer.Exit(130) from None
    if not after.cells:
        raise ConfigError(f"There is nothing to compute of the suite {asked.suite.name!r}; the lines above say why.")
    if any(cell.is_done for cell in after.cells):
        _print_figures(folder.path)
    _say_left_out(after)
    failed = sum(cell.state == "failed" for cell in after.cells)
    lost = 0 if share[1] > 1 else sum(cell.is_wanted for cell in after.cells) - failed
    if failed:
        _say(f"{failed} of {len(after.cells)} cells failed; see `audiossl suite status {to}`.")
    if lost:
        _say(f"{lost} of {len(after.cells)} cells could not be begun; the first lines say why.")
    if failed or lost:
        raise typer.Exit(1)
    print(f"Results: {to}")


def _say(line: str) -> None:
    console(stderr=True).print(shown(line))


def _say_left_out(made: Any) -> None:
    for name, why in made.left_out.items():
        _say(f"{name} is left out, because {why}.")


def _executor(name: str, pairs: list[str] | None, jobs: int) -> tuple[str, dict[str, Any]]:
    from audiossl.core.config import parse_overrides
    from audiossl.experiments.executors.making import executor_here

    return executor_here(name, parse_overrides(pairs or [], example="partition=gpu"), jobs)


def _asked(
    suite: str,
    upstreams: list[str],
    overrides: list[str] | None,
    data: Path | None,
    only: list[str] | None,
) -> Any:
    from audiossl.experiments.config import parse_settings
    from audiossl.experiments.suites.definition import read_suite
    from audiossl.experiments.suites.encoders import known_encoder, parse_encoder
    from audiossl.experiments.suites.plan import Asked

    found = read_suite(suite).only(only or [])
    choices = [parse_encoder(text) for text in dict.fromkeys(upstreams)]
    encoders = [known_encoder(choice) for choice in choices]
    return Asked(found, encoders, _corpora(data), parse_settings(overrides or []))


def _corpora(data: Path | None) -> Path | None:
    given = os.environ.get("AUDIOSSL_DATA")
    folder = data or (Path(given) if given else None)
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name the folder of the corpora with --data or AUDIOSSL_DATA.")
    return folder


@app.command()
def status(results: Results, as_json: AsJson = False) -> None:
    """What a results folder has, what failed and why."""
    from audiossl.experiments.suites.results import ResultsFolder

    found = [cell for cell in ResultsFolder(_at(results)).results() if not cell.fold or cell.state != "finished"]
    if as_json:
        print(json.dumps([cell.as_json() for cell in found], indent=2))
        return
    if not found:
        print(f"{results} has no results yet.")
        return
    made = new_table("task", "upstream", "seed", "fold", "state", "figure", "seconds", box=None, pad_edge=False)
    for cell in found:
        state = f"failed: {cell.error} {cell.log}".rstrip() if cell.state == "failed" else cell.state
        figure = _figure(cell)
        seconds = f"{cell.cost.total_s:.0f}" if cell.state == "finished" else ""
        add_row(made, (cell.task, cell.upstream, cell.seed, cell.fold, state, figure, seconds))
    console().print(made)


def _figure(cell: Any) -> str:
    from audiossl.metrics.formatting import interval_written, with_unit, written

    if cell.figure is None:
        return ""
    name = cell.metric
    return f"{with_unit(name)} {written(name, cell.figure.value)} {interval_written(name, cell.figure)}".strip()


def _print_figures(results: Path) -> None:
    """A line for each task, a column for each upstream, then scores and mean ranks."""
    from audiossl.report.suites.board import write_board
    from audiossl.report.suites.export import terminal_rows

    write_board(results)
    header, *rows = terminal_rows(results)
    made = new_table(*header, box=None, pad_edge=False)
    for row in rows:
        add_row(made, row)
    console().print(made)


@app.command()
def report(
    results: Results,
    to: Annotated[Path, typer.Option("--out", help="Folder of the site.")] = Path("site"),
) -> None:
    """A static site: leaderboard, a page for each task and each upstream."""
    from audiossl.report.suites.site import build_site

    print(f"Report: {build_site(_at(results), to)}")


@app.command()
def compare(
    results: Results,
    first: Annotated[str, typer.Argument(help="An upstream, as the results name it.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Two upstreams on every task: paired differences on the same items, with intervals."""
    from audiossl.report.suites.comparing import compare_upstreams

    found = compare_upstreams(_at(results), first, second)
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    columns = ("task", "metric", first, second, "difference", "95 % interval", "p", "p (Holm)", "over")
    made = new_table(*columns, box=None, pad_edge=False)
    for row in found.rows:
        add_row(made, row)
    out = console()
    out.print(made)
    for note in found.notes:
        out.print(shown(note))


@app.command()
def export(
    results: Results,
    form: Annotated[str, typer.Option("--format", help="markdown, latex, csv or card.")] = "markdown",
    upstream: Annotated[str, typer.Option(help="The one whose card is written.")] = "",
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="A file. Without it, the terminal.", show_default=False),
    ] = None,
) -> None:
    """The table of a paper, or the results section of a model card."""
    from audiossl.core.files import atomic_write
    from audiossl.core.outputs import check_out
    from audiossl.report.suites.export import export_text, format_of

    text = export_text(_at(results), format_of(form), upstream)
    if to is None:
        print(text)
        return
    check_out(to, "file", [results])
    with atomic_write(to) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


@app.command()
def merge(
    results: Annotated[list[str], typer.Argument(help="Results folders, or their URLs.")],
    to: OutOption,
    newest: Annotated[
        bool, typer.Option("--newest", help="Take the newer of two different results of one cell.")
    ] = False,
) -> None:
    """Put the cells of several results folders into one."""
    from audiossl.experiments.suites.merging import merge_results
    from audiossl.experiments.suites.mirror import working_folder

    with working_folder(to, _say) as place:
        for line in merge_results([_at(each) for each in results], place.path, newest=newest):
            print(line)
    print(f"Results: {to}")
