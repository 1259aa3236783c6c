"""The section of a model card about one encoder: `model-index` YAML, as model hubs read it, and a table."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from audiossl.core.untrusted import printable
from audiossl.experiments.suites.results import CellResult
from audiossl.metrics.formatting import clusters_written, interval_written, with_unit, written
from audiossl.report.suites.reading import SuiteResults, metric_title
from audiossl.report.suites.standings import Figure, Standings, TaskStandings

# What hubs call the kinds of tasks. Others are called as here.
_HUB_TASKS = {
    "asr": "automatic-speech-recognition",
    "utterance_classification": "audio-classification",
    "keyword_spotting": "audio-classification",
    "speaker_identification": "audio-classification",
    "emotion": "audio-classification",
    "bioacoustic_windows": "audio-classification",
}


def card(results: SuiteResults, made: Standings, upstream: str) -> str:
    """YAML between lines of dashes, then Markdown: the beginning of a README, or a part to put into one.

    results: of the suite.
    made: what they say.
    upstream: whose card it is.
    """
    mine = [(task, task.figures[upstream]) for task in made.tasks.values() if upstream in task.figures]
    found = [_eval_result(results, task, figure, upstream) for task, figure in mine]
    # A model without a result has no index.
    data = ModelCardData(model_name=upstream, eval_results=found) if found else ModelCardData()
    front = f"---\n{data.to_yaml()}\n---\n\n" if found else ""
    return front + "\n".join(_section(results, made, upstream, mine))


def _eval_result(results: SuiteResults, task: TaskStandings, figure: Figure, upstream: str) -> EvalResult:
    asked, cell = task.definition.metric, results.whole(task.name, upstream)[0]
    sets = ", ".join(task.definition.test_sets) or task.name.partition("/")[0]
    kind = cell.downstream or task.name.partition("/")[2]
    return EvalResult(
        task_type=_HUB_TASKS.get(kind, kind.replace("_", "-")),
        task_name=task.definition.title or task.name,
        dataset_type=task.name.partition("/")[0],
        dataset_name=sets,
        dataset_split="test",
        metric_type=asked,
        metric_name=metric_title(asked),
        metric_value=round(figure.metric.value, 6),
        metric_args=_args(figure, cell, results),
    )


def _args(figure: Figure, cell: CellResult, results: SuiteResults) -> dict[str, object]:
    """What a bare number would not say."""
    metric = figure.metric
    known = {
        "interval_95": None
        if metric.low is None or metric.high is None
        else [round(metric.low, 6), round(metric.high, 6)],
        "interval_over": clusters_written(metric.num_clusters, metric.cluster) if metric.num_clusters else None,
        "num_items": figure.num_items,
        "num_seeds": len(figure.seeds),
        "interface": figure.interface or None,
        "suite": f"{results.suite.name}, version {results.suite.version}",
        "code": cell.versions.get("audiossl"),
    }
    return {name: value for name, value in known.items() if value is not None}


def _section(
    results: SuiteResults, made: Standings, upstream: str, mine: list[tuple[TaskStandings, Figure]]
) -> list[str]:
    suite, score = results.suite, made.scores.get(upstream)
    lines = [f"## Results of the suite {suite.name}, version {suite.version}", ""]
    if suite.title:
        lines += [f"{_text(suite.title)}. Measured with audiossl.", ""]
    if score is not None:
        missing = made.missing[upstream]
        called = f"Partial score ({score.num_clusters} of {len(made.tasks)} tasks)" if missing else "Score"
        lines += [f"{called}: {score.value:.0f} [{score.low:.0f}, {score.high:.0f}].", ""]
    lines += ["| task | test set | metric | figure | 95 % interval | over |", "| --- | --- | --- | ---: | ---: | --- |"]
    for task, figure in mine:
        asked, metric = task.definition.metric, figure.metric
        over = clusters_written(metric.num_clusters, metric.cluster) if metric.num_clusters else ""
        cells = [task.definition.title or task.name, ", ".join(task.definition.test_sets), with_unit(asked)]
        cells += [written(asked, metric.value), interval_written(asked, metric), over]
        lines.append("| " + " | ".join(map(_text, cells)) + " |")
    for name, sets in made.warnings.get(upstream, {}).items():
        lines += [
            "",
            f"The training data of this encoder are said to be of {_text(', '.join(sets))} too, which {name} tests on.",
        ]
    return lines


def _text(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("<", "&lt;")
