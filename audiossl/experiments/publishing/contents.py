"""The folder that is sent: a run or an encoder, whole, with the list of its files and a model card.

RUN             config.yaml, run.json, encoder.json, interface.json, the checkpoint that predicts, encoder.safetensors
                where no registered name stands for the encoder
CROSS-VALIDATION  the same in folds/<number>/, and folds.json
ENCODER         upstream.safetensors

Manifests, logs, predictions and the names of rows are not sent. Metrics are in the card.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import CheckpointError, OutputError, TrainingError
from audiossl.core.files import atomic_write, write_json
from audiossl.core.joined_names import names_in
from audiossl.core.outputs import check_out
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import fingerprint, read_tensors, write_tensors
from audiossl.encoders.encoder_file import UPSTREAM_NAME, read_encoder_file
from audiossl.encoders.hub import OF_RUN
from audiossl.encoders.listed import CARD_NAME, LIST_NAME, Kind, write_list
from audiossl.encoders.loading import load_upstream, require_fingerprint
from audiossl.encoders.naming import named_by
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.cross_validation.run import encoder_file_of_folds, fold_names, fold_run
from audiossl.experiments.folder import RunFolder, checkpoint_prefix
from audiossl.experiments.loading import load_run
from audiossl.experiments.publishing.card import encoder_card, run_card
from audiossl.experiments.publishing.options import PushOptions
from audiossl.experiments.publishing.private import public_config, public_facts, require_public, without_files
from audiossl.experiments.sweeps.record import best_member

ENCODER_NAME = "encoder.safetensors"
_OF_LOADING = ("precision", "engine")  # options that no file of an encoder has


class SentEncoder(NamedTuple):
    """What a run's encoder is called where it is sent, with the options that it is loaded with."""

    upstream: str
    options: dict[str, Any]


def write_published(model: Upstream | str | Path, folder: Path, repository: str, options: PushOptions) -> Kind:
    """Write what is sent of a run or an encoder into a new folder, and load it once from there.

    model: an encoder, the folder of a run, or what `load_upstream` takes.
    folder: which is not there, or empty.
    repository: the <owner>/<name> under which others will find it, for the card.
    options: what the card says of licence and data.
    Returns which of the two it is.
    Raises OutputError for a folder that has something in it, TrainingError for a run that is not trained to its end.
    """
    check_out(folder, "folder", [model] if isinstance(model, str | Path) else [])
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; name a new folder.")
    try:
        return _write(model, folder, repository, options)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # half of it is of no use to anybody
        raise


def _write(model: Upstream | str | Path, folder: Path, repository: str, options: PushOptions) -> Kind:
    run = None if isinstance(model, Upstream) else run_of(model)
    private = [str(Path.cwd()), str(Path.home())]
    if run is not None:
        private += [str(run.path.resolve()), run.facts.folder, str(run.settings().get("data", {}).get("dir", ""))]
    if run is not None and run.kind != "pretraining":
        kind: Kind = "run"
        _write_run(run, folder)
        card = run_card(run, RunFolder(folder), repository, options)
    else:
        kind = "encoder"
        made = model if isinstance(model, Upstream) else load_upstream(str(model))
        save_upstream(made, folder / UPSTREAM_NAME)
        card = encoder_card(made, run, repository, options)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    write_list(folder, kind, files)
    with atomic_write(folder / CARD_NAME) as temporary:
        temporary.write_text(card, encoding="utf-8")
    require_public(folder, [*files, LIST_NAME, CARD_NAME], private)
    # The proof that it is whole: it is loaded from there, and the fingerprint of its encoder compared.
    if kind == "run":
        load_run(folder, device="cpu")
    else:
        load_upstream(str(folder))
    return kind


def run_of(model: str | Path) -> RunFolder | None:
    """The run that a name stands for, of a sweep its best member. None where it is no run."""
    if str(model) in UPSTREAMS or (":" in str(model) and not Path(model).exists()):
        return None
    folder = Path(model)
    if RunFolder(folder).sweep_path.is_file():
        return RunFolder(best_member(folder))
    return RunFolder(folder) if RunFolder(folder).is_run else None


def _write_run(source: RunFolder, folder: Path) -> None:
    """A run of one head, or all folds of a cross-validation, which become numbers: they may be called as speakers."""
    if source.kind != "cross_validation":
        _write_single(source, folder)
        return
    made, names = RunFolder(folder), {}
    for number, name in enumerate(fold_names(source.path), start=1):
        names[str(number)] = name
        _write_single(fold_run(source, name), made.fold(str(number)).path)
    first = made.fold("1")
    config = first.config()
    write_json(made.folds_path, {name: {} for name in names})
    write_json(made.facts_path, dataclasses.replace(public_facts(source.facts), folds=list(names)).as_json())
    encoder_file_of_folds(folder, names).write(folder)
    whole = public_config(source.config(), config.upstream, config.upstream_options, source.facts.folder)
    made.write_config(whole)


def _write_single(source: RunFolder, folder: Path) -> None:
    """A run of one head. Raises TrainingError where it is not trained to its end."""
    if not source.is_finished:
        raise TrainingError(f"{source} is not trained to its end; go on with `audiossl train --resume {source}`.")
    config, facts, made = source.final_config(), source.facts, RunFolder(folder)
    reference = _write_encoder(source, folder)
    name, prefix = config.checkpoint, checkpoint_prefix(config.checkpoint)
    tensors, _ = read_tensors(source.checkpoint(name))
    kept = {key: value for key, value in tensors.items() if key.startswith(prefix)}  # the optimizer stays here
    write_tensors(made.checkpoint(name), kept, {})
    made.write_interface(source.interface)
    write_json(made.facts_path, public_facts(facts).as_json())
    public = public_config(config, reference.upstream, reference.options, facts.folder)
    encoder = dataclasses.replace(
        read_encoder_file(source.path), upstream=reference.upstream, options=reference.options
    )
    encoder.write(folder)
    made.write_config(public)


def _write_encoder(source: RunFolder, folder: Path) -> SentEncoder:
    """The encoder that a run began with, unless a registered name without files stands for it.

    Raises CheckpointError where the encoder is another one now.
    """
    config, facts = source.config(), source.facts
    options = config.upstream_options
    names = names_in(config.upstream)
    if all(name in UPSTREAMS for name in names) and without_files(options, facts.folder) == options:
        return SentEncoder(config.upstream, dict(options))
    if len(names) > 1:
        raise CheckpointError(
            f"{source} joins {config.upstream}, and of several encoders only registered names without files can be "
            f"sent; push each encoder, and train on hf:<owner>/<name>."
        )
    plain = {key: value for key, value in options.items() if key not in _OF_LOADING}
    with named_by(source.path, paths=True):
        upstream = load_upstream(config.upstream, **plain)
    kept = {key: options[key] for key in _OF_LOADING if key in options}
    if not kept:
        require_fingerprint(fingerprint(upstream), facts.upstream_fingerprint or "", config.upstream, source.path)
    save_upstream(upstream, folder / ENCODER_NAME)
    return SentEncoder(f"{OF_RUN}:{ENCODER_NAME}", kept)
