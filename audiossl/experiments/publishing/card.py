"""The model card: README.md of what is published, with YAML in front that the hub reads.

Metrics are the hub's `model-index`, each with its interval in `args`. What is not known is said to be not known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_json
from audiossl.core.registry import UPSTREAMS
from audiossl.core.types import Metric
from audiossl.core.untrusted import printable
from audiossl.core.yaml_text import dump_yaml
from audiossl.encoders.hub import OF_RUN
from audiossl.encoders.listed import LIST_NAME
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.publishing.private import public_command
from audiossl.metrics.formatting import cells_written, intervals_note

_MOST_LABELS = 60
_UNKNOWN_DATA = "data that its publisher does not name"


def run_card(source: RunFolder, sent: RunFolder, repository: str, options: PushOptions) -> str:
    """The card of a run.

    source: the run as it was trained, with its evaluations.
    sent: the run as it is sent.
    repository: its <owner>/<name>.
    options: what the publisher says.
    """
    config, facts, metrics = sent.config(), source.facts, _metrics(source)
    labels = [str(label) for label in config.task.get("labels") or []]
    kind = _hub_task(config, metrics, labels)
    front = {
        **_front(options, config.downstream, kind if kind in _PIPELINES else ""),
        "model-index": _model_index(repository, config, kind, metrics, options),
    }
    start = [
        f"A head for `{config.downstream}` on the encoder {_encoder(config, source)}, by the interface "
        f"`{config.interface}`, trained with audiossl {facts.versions.get('audiossl', '')}."
    ]
    use = [
        *_code(
            "from audiossl import cuts_of, load_run",
            f'run = load_run("hf:{repository}")',
            'print(run.predict(cuts_of(["talk.wav"])))',
        ),
        f"Or `audiossl predict hf:{repository} talk.wav`, after `pip install audiossl-toolkit`.",
    ]
    if labels:
        more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
        use += ["", f"It knows {len(labels)} labels: {', '.join(map(_plain, labels[:_MOST_LABELS]))}{more}."]
    sections = {
        "": start,
        "Use": use,
        "Data": _data(source, options),
        "Results": _results(metrics),
        "Training": _training(config, facts),
        "Limits": _limits(labels, metrics, config),
        "Licence": _licence(options, config),
    }
    return _page(repository, front, sections)


def encoder_card(upstream: Upstream, source: RunFolder | None, repository: str, options: PushOptions) -> str:
    """The card of an encoder.

    upstream: it.
    source: the run that trained it, None where there is none.
    repository: its <owner>/<name>.
    options: what the publisher says.
    """
    size = sum(p.numel() for p in upstream.parameters())
    start = [
        f"An encoder of the family `{upstream.display_name}`: {upstream.num_layers} layers of "
        f"{', '.join(str(width) for width in dict.fromkeys(upstream.widths))} channels, {upstream.frame_rate_hz:g} "
        f"frames a second, {size:,} parameters."
    ]
    use = [
        *_code(
            "from audiossl import load_upstream",
            f'encoder = load_upstream("hf:{repository}")',
            f"features = encoder(wavs, lengths)  # wavs (B, S) at {upstream.sample_rate_hz} Hz, lengths (B,)",
        ),
        f"Or `audiossl embed hf:{repository} talk.wav --out talk.npz`, and `upstream=hf:{repository}` in a recipe.",
    ]
    command = public_command(source.facts.command) if source else ""
    limits = ["No task has been trained on it here, so nothing is known of what it is good for, beyond its data."]
    sections = {
        "": start,
        "Use": use,
        "Data": _data(source, options),
        "Training": [f"Made by `{_plain(command)}`." if command else "How it was made is not known."],
        "Limits": [f"It hears {upstream.sample_rate_hz} Hz: what lies above half of that is lost to it.", *limits],
        "Licence": [_given_licence(options)],
    }
    return _page(repository, _front(options, "", "feature-extraction"), sections)


_PIPELINES = ("audio-classification", "automatic-speech-recognition")


def _hub_task(config: Experiment, metrics: Mapping[str, Mapping[str, Metric]], labels: Sequence[str]) -> str:
    """The hub's name of the task, or our own where it has none."""
    if any("wer" in found for found in metrics.values()):
        return "automatic-speech-recognition"
    return "audio-classification" if labels else config.downstream.replace("_", "-")


def _front(options: PushOptions, downstream: str, pipeline: str) -> dict[str, Any]:
    found = {"license": options.licence, "library_name": "audiossl", "pipeline_tag": pipeline}
    tags = [tag for tag in ("audio", "audiossl", downstream.replace("_", "-")) if tag]
    return {**{key: value for key, value in found.items() if value}, "tags": tags}


def _metrics(source: RunFolder) -> dict[str, dict[str, Metric]]:
    """The figures of each split that was evaluated. Raises AudiosslError for a damaged file."""
    return {
        split.name: {
            name: metric
            for name, stored in (read_json(split.metrics).get("metrics") or {}).items()
            if math.isfinite((metric := Metric.from_json(stored)).value)
        }
        for split in source.evaluated
    }


def _model_index(
    repository: str,
    config: Experiment,
    kind: str,
    metrics: Mapping[str, Mapping[str, Metric]],
    options: PushOptions,
) -> list[dict[str, Any]]:
    """What the hub shows as results of evaluations.

    repository, options: as for `run_card`.
    config: of the run.
    kind: the hub's name of the task.
    metrics: by split.
    """
    data = options.data or _UNKNOWN_DATA
    results = [
        {
            "task": {"type": kind, "name": config.downstream},
            "dataset": {"type": data.lower().replace(" ", "-"), "name": data, "split": split},
            "metrics": [_entry(name, metric) for name, metric in found.items()],
        }
        for split, found in metrics.items()
    ]
    return [{"name": repository.rpartition("/")[2], "results": results}]


def _entry(name: str, metric: Metric) -> dict[str, Any]:
    """A metric as the hub has it: shares of 1, as metrics.json."""
    title = f"{name}, 95 % interval {metric.low:.4g} to {metric.high:.4g}" if _has_interval(metric) else name
    more = {"low": metric.low, "high": metric.high, "num_clusters": metric.num_clusters, "cluster": metric.cluster}
    args = {key: value for key, value in more.items() if value not in (None, "")}
    return {"type": name, "name": title, "value": metric.value, **({"args": args} if args else {})}


def _has_interval(metric: Metric) -> bool:
    return metric.low is not None and metric.high is not None


def _encoder(config: Experiment, source: RunFolder) -> str:
    name = source.config().upstream
    if not config.upstream.startswith(f"{OF_RUN}:"):
        return f"`{name}`"
    # A path is nobody's, the name of a repository is what the encoder is known by.
    known = f" (from `{_plain(name)}`)" if name.startswith("hf:") and not Path(name[3:]).exists() else ""
    return f"`{config.upstream.partition(':')[2]}` of this repository{known}"


def _data(source: RunFolder | None, options: PushOptions) -> list[str]:
    """What it was trained on, and how much of it where the manifests are still there."""
    lines = [f"Trained on {_plain(options.data or _UNKNOWN_DATA)}."]
    counted = list(_counts(source)) if source else []
    return [*lines, "", *counted] if counted else lines


def _counts(source: RunFolder) -> Iterator[str]:
    if source.kind == "pretraining":
        return
    config = source.config()
    for split, path in config.manifests.items():
        try:
            hours = [cut.duration / 3600 for cut in config.data.rows(split)] if path.is_file() else []
        except AudiosslError:
            continue
        if hours:
            yield f"- {split}: {len(hours):,} recordings, {sum(hours):.2g} hours"


def _results(metrics: Mapping[str, Mapping[str, Metric]]) -> list[str]:
    if not metrics:
        return ["It was not evaluated."]
    lines = ["| split | metric | value | 95 % interval |", "|---|---|---|---|"]
    for split, found in metrics.items():
        lines += [f"| {split} | {' | '.join(cells_written(name, metric))} |" for name, metric in found.items()]
        lines += [""] if split != list(metrics)[-1] else []
    notes = [f"{split}: {note}" for split, found in metrics.items() if (note := intervals_note(found))]
    return [*(line for line in lines if line), "", *notes]


def _training(config: Experiment, facts: RunFacts) -> list[str]:
    command = public_command(facts.command)
    again = "audiossl train config.yaml data.dir=FOLDER"
    if config.upstream.startswith(f"{OF_RUN}:"):
        again += f" upstream={config.upstream.partition(':')[2]}"
    frozen = config.finetune.mode == "none"
    how = ["the encoder was frozen" if frozen else f"fine-tuning: {config.finetune.mode}", f"seed {config.seed}"]
    if facts.num_trainable and facts.num_parameters:
        how = [f"{facts.num_trainable:,} of {facts.num_parameters:,} parameters were trained", *how]
    versions = ", ".join(f"{name} {number}" for name, number in facts.versions.items())
    return [
        f"- Made by `{_plain(command)}`." if command else "- Made by a script, or by a part of a larger experiment.",
        f"- With your own rows: `{again}`, in a folder of this repository; `config.yaml` has all settings.",
        f"- {', '.join(how)}.",
        f"- With {versions}.",
    ]


def _limits(labels: Sequence[str], metrics: Mapping[str, Any], config: Experiment) -> list[str]:
    lines = []
    if labels:
        lines.append("- It knows these labels alone: whatever else it hears has none of its own.")
    if metrics:
        lines.append("- The figures are of the data named above, and say little of other rooms, speakers or species.")
    if config.folds.by:
        lines.append("- Predictions are those of all folds together, the figures those of single folds.")
    lines.append("- Recordings at other rates are resampled to that of the encoder.")
    return lines


def _licence(options: PushOptions, config: Experiment) -> list[str]:
    card = UPSTREAMS.card(config.upstream) if config.upstream in UPSTREAMS else None
    theirs: str = getattr(card, "licence", "")
    if config.upstream.startswith(f"{OF_RUN}:"):
        return [
            _given_licence(options),
            "",
            "The encoder's weights are in this repository, and their licence holds too.",
        ]
    return [_given_licence(options), *(["", f"That of the encoder: {theirs}."] if theirs else [])]


def _given_licence(options: PushOptions) -> str:
    return f"{_plain(options.licence)}." if options.licence else "None was given: ask the owner before you use it."


def _code(*lines: str) -> list[str]:
    return ["```python", *lines, "```", ""]


def _plain(text: str) -> str:
    """Text that is no markup of the card."""
    return printable(text).replace("`", "'").replace("<", "&lt;").replace("|", "\\|")


def _page(repository: str, front: Mapping[str, Any], sections: Mapping[str, Sequence[str]]) -> str:
    parts = [f"---\n{dump_yaml(dict(front))}---\n\n# {repository.rpartition('/')[2]}"]
    for title, lines in sections.items():
        parts.append("\n".join([*([f"## {title}", ""] if title else []), *lines]).rstrip())
    parts.append(f"`{LIST_NAME}` lists the files with their SHA-256, and audiossl compares them at every load.")
    return "\n\n".join(parts) + "\n"
