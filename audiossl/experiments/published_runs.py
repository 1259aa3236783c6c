"""Models of other toolkits with a trained head, as runs: `audiossl predict hf:<folder> talk.wav`.

A card of a downstream names what reads such heads (`Card.heads`). The run is a folder in the cache, which is written
when the model is first asked for and belongs to these files in this state. Its encoder is the model's, by reference.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.files import cache_folder
from audiossl.core.outputs import check_out
from audiossl.core.registry import DOWNSTREAMS, import_target
from audiossl.encoders.exported.loading import KINDS
from audiossl.encoders.formats.original import read_original
from audiossl.encoders.kept import load_identified
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.run import load_single
from audiossl.experiments.training import begin_single, facts_of, finish_single
from audiossl.training.checkpoints import BestWeights, Checkpoints

_FORMAT = 1  # of what is written: another number makes new runs
_LONGEST_NAME = 60


class PublishedHead(NamedTuple):
    """A trained head of another toolkit, in terms of a task here.

    downstream: the task, which reads the last hidden state.
    task: its options.
    state: the tensors of its head, under the task's names.
    """

    downstream: str
    task: Mapping[str, Any]
    state: Mapping[str, Tensor]


def run_of_model(reference: str, path: Path, toolkit: str) -> Path | None:
    """The run folder of a model of another toolkit, None for an encoder without a head that is known.

    reference: as the user names it.
    path: the file or folder that it names.
    toolkit: what wrote it, the prefix of the reference.
    Raises CheckpointError for a head that cannot be a run, and what loading its encoder raises.
    """
    if toolkit in KINDS:
        return None
    path = path.absolute()
    upstream = _encoder_of(reference, path, toolkit)
    folder = cache_folder() / "runs" / _name_of(upstream, path)
    if RunFolder(folder).is_finished:
        return folder
    head = _head_of(path)
    if head is None:
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(prefix=".", dir=folder.parent))
    try:
        _write(RunFolder(made), head, upstream)
        os.replace(made, folder)  # another process may have been faster
    except OSError:
        if not RunFolder(folder).is_finished:
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def _head_of(path: Path) -> PublishedHead | None:
    """The first that a downstream knows."""
    original = read_original(path)
    cards = map(DOWNSTREAMS.card, DOWNSTREAMS.names())
    readers = (import_target(card.heads) for card in cards if card.heads)
    return next((head for read in readers if (head := read(original)) is not None), None)


def _write(run: RunFolder, head: PublishedHead, upstream: str) -> None:
    config = Experiment(
        downstream=head.downstream,
        task=dict(head.task),
        upstream=upstream,
        interface="last",
        standardize=False,
        features="off",  # scores as the model gives them, which hidden states in half precision would round
    )
    encoder = load_identified(upstream, {})
    task = build_downstream(config, encoder.upstream)
    expected = task.trainable_state()
    for name, value in head.state.items():
        if name not in expected or expected[name].shape != value.shape:
            raise CheckpointError(
                f"The head of {upstream} has {name} of shape {tuple(value.shape)}, which does not fit its encoder of "
                f"width {encoder.upstream.widths[-1]}; get the model again."
            )
    task.load_trainable_state({**expected, **head.state})
    begin_single(run, config, task, facts_of(task, 1, encoder.fingerprint), resume=False)
    Checkpoints(run.path).keep(task, BestWeights(0.0, step=0), [], gained=True)
    finish_single(run, config, task)


def _encoder_of(reference: str, path: Path, toolkit: str) -> str:
    """How the run names its encoder, wherever it is loaded from: a repository at a revision, or a place on disk."""
    given = Path(reference.partition(":")[2]).expanduser()
    if toolkit != "hf" or given.exists() or "@" in reference:
        return f"{toolkit}:{path}"
    return f"{reference}@{path.name}"  # the revision that is pinned


def _name_of(upstream: str, path: Path) -> str:
    """A name for people, and a hash of where the files are and of their sizes and times."""
    files = sorted(path.iterdir()) if path.is_dir() else [path, *sorted(path.parent.glob("dict.*.txt"))]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    described = json.dumps([_FORMAT, str(path), states])
    name = re.sub(r"[^\w.+-]+", "_", upstream.partition(":")[2].removeprefix(str(path.parent))).strip("_.")
    return f"{name[-_LONGEST_NAME:]}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def write_for_transformers(source: str, folder: Path) -> str | None:
    """Write a whole run as a folder of transformers, which `run_of_model` reads as the same run.

    source: what was named to be converted.
    folder: a new one.
    Returns None where it was written, and else why the encoder alone has such a form. '' for what is no run.
    """
    run = RunFolder(source)
    if not run.is_run or run.kind != "single":
        return ""
    config = run.final_config()
    write = DOWNSTREAMS.card(config.downstream).to_transformers
    if not write:
        return f"a head of {config.downstream} has no form there"
    check_out(folder, "folder", [source])
    return import_target(write)(load_single(Path(source), device="cpu").task, folder) or None
