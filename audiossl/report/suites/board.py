"""The scalars of a results folder for TensorBoard: an encoder is a run, a task a tag, a seed a step."""

from __future__ import annotations

from pathlib import Path

from audiossl.core.outputs import check_out
from audiossl.experiments.suites.results import CellResult, folder_of
from audiossl.report.suites.reading import SuiteResults, read_results
from audiossl.report.suites.standings import Standings, standings
from audiossl.training.board import Board

FOLDER = "tensorboard"
_EVENTS = "events.out.tfevents.*"


def write_board(results: SuiteResults | Path | str, out: Path | None = None) -> Path:
    """Write the scalars of all cells, in the place of those that were there. Returns the folder.

    results: the results, or their folder.
    out: where to. By default `tensorboard` in the results folder.
    Raises AudiosslError for a folder without results, OutputError for one that cannot be written.
    """
    found = results if isinstance(results, SuiteResults) else read_results(results)
    made, folder = standings(found), found.folder.path / FOLDER if out is None else Path(out)
    check_out(folder, "folder")
    for upstream in found.upstreams:
        _write_upstream(found, made, upstream, folder / folder_of(upstream))
    return folder


def _write_upstream(results: SuiteResults, made: Standings, upstream: str, folder: Path) -> None:
    for old in folder.glob(_EVENTS):
        old.unlink()
    board = Board(folder, 0)
    score, rank = made.scores.get(upstream), made.rank(upstream)
    for name, metric in (("suite/score", score), ("suite/mean_rank", rank)):
        if metric is not None:
            board.scalar(name, metric.value, 0)
    for task in results.tasks:
        for cell in results.whole(task, upstream):
            _write_cell(board, cell)
    board.close()


def _write_cell(board: Board, cell: CellResult) -> None:
    for name, metric in cell.metrics.items():
        board.scalar(f"{cell.task}/{name}", metric.value, cell.seed)
    board.scalar(f"{cell.task}/seconds", cell.cost.total_s, cell.seed)
    # What was tried, in its order: the curve of a search.
    for number, tried in enumerate(cell.trials):
        if tried.dev is not None:
            board.scalar(f"{cell.task}/tried on dev, seed {cell.seed}", tried.dev, number)
