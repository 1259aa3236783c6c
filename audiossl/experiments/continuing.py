"""Pre-training that goes on from an encoder that is there: any that `load_upstream` knows, with the heads beside it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import torch

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.processes import is_main
from audiossl.core.registry import UPSTREAMS
from audiossl.core.tensors import config_of, read_tensors
from audiossl.encoders.building import build_upstream
from audiossl.encoders.finetuning import has_adapters
from audiossl.encoders.heads import checkpoint_of_others, published_heads
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.building import objective_name
from audiossl.experiments.config import PretrainExperiment, read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.training.downstream import Downstream
from audiossl.training.objective import Objective

_log = logging.getLogger(__name__)
_ENCODER = "upstream."  # what the names of tensors begin with where they are the encoder's
_SECONDS = (0.5, 0.3)  # of the noise on which encoders are compared


def load_init(config: PretrainExperiment) -> tuple[PretrainExperiment, Upstream]:
    """The encoder that a pre-training begins with, and the configuration that says which one it is.

    config: of a run with `init`. Its upstream_options may change what is for training alone, such as dropout.
    Raises CheckpointError, and ConfigError for settings that contradict the encoder.
    """
    loaded = load_upstream(config.init)
    if not loaded.name:
        raise CheckpointError(f"init={config.init} has no registered name, so no file could say what it is.")
    if has_adapters(loaded):
        raise CheckpointError(
            f"init={config.init} has adapters beside its blocks, which pre-training cannot keep; name an encoder that "
            f"was trained without finetune.adapter_width."
        )
    if config.upstream and _target(config.upstream) != _target(loaded.name):
        raise ConfigError(
            f"upstream={config.upstream} contradicts init={config.init}, which is a {loaded.name}; leave upstream out."
        )
    upstream = _with_options(loaded, config.upstream_options, config.init)
    return dataclasses.replace(config, upstream=upstream.name, upstream_options=config_of(upstream)), upstream


def _target(name: str) -> str:
    return UPSTREAMS.card(name).target


def _with_options(loaded: Upstream, options: Mapping[str, Any], init: str) -> Upstream:
    """The encoder with other options. Raises ConfigError for those that would make it another encoder.

    loaded: the encoder.
    options: of the user.
    init: what it is called.
    """
    said = config_of(loaded)
    schema = getattr(type(loaded), "Config", None)
    if not options or schema is None:
        return loaded
    wanted = as_dict(structured(schema, said, options, where=f"upstream_options beside init={init}"))
    changed = {key: value for key, value in wanted.items() if value != said[key]}
    if not changed:
        return loaded
    # A file of ours says all that an encoder is. Of others, much is guessed: the number of heads, the normalisation.
    is_ours = checkpoint_of_others(init) is None
    wrong = [key for key, value in changed.items() if not _fits(loaded, {**said, key: value}, is_ours)]
    if wrong:
        named = ", ".join(f"upstream_options.{key}={wanted[key]}" for key in wrong)
        has = ", ".join(f"{key}={said[key]}" for key in wrong)
        raise ConfigError(
            f"{named} contradict{'s' if len(wrong) == 1 else ''} init={init}, an encoder with {has}; leave that out "
            f"(`audiossl convert` writes an encoder that is loaded with other options)."
        )
    return _rebuilt(loaded, wanted) if is_ours else load_upstream(init, **{key: options[key] for key in changed})


def _fits(loaded: Upstream, options: Mapping[str, Any], same_states: bool) -> bool:
    """Whether an encoder with these options can have the weights of one that is there, and the same hidden states.

    loaded: the one that is there.
    options: all of them.
    same_states: False where its hidden states need not be the same.
    """
    state, fresh = (each.state_dict() for each in (loaded, build_upstream(loaded.name, options, seed=0)))
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in fresh.items()}:
        return False
    if not same_states:
        return True
    batch = pad(noise(loaded, _SECONDS))
    with torch.no_grad():  # what an encoder keeps of a pass is used in training
        pairs = zip(_rebuilt(loaded, options)(*batch).layers, loaded(*batch).layers, strict=True)
        return all(torch.equal(ours, theirs) for ours, theirs in pairs)


def _rebuilt(loaded: Upstream, options: Mapping[str, Any]) -> Upstream:
    """The encoder with other options and its weights."""
    made = build_upstream(loaded.name, options, seed=0).eval()
    made.load_state_dict(loaded.state_dict())
    return made


def take_heads(task: Objective, config: PretrainExperiment) -> None:
    """Give an objective what lies beside the encoder that it goes on from. One line says what that is.

    task: the objective on its encoder.
    config: of the run, as `load_init` completed it.
    """
    # By where they lie: several objectives on one encoder have names of their own in a checkpoint.
    trained = {each.data_ptr() for each in task.parameters() if each.requires_grad}
    state = task.trainable_state()
    own = {key for key, each in state.items() if each.data_ptr() in trained and not key.startswith(_ENCODER)}
    run = RunFolder(config.init)
    if run.is_run and run.kind == "pretraining":
        taken = set(_heads_of_run(task, run, objective_name(config)))
    else:
        taken = set(task.take_heads(published_heads(config.init)))
    if not is_main():
        return
    _log.info(
        "Goes on from %s: the encoder%s%s.",
        config.init,
        f", and of the objective {_parts(taken)}" if taken else "",
        f". Drawn anew: {_parts(own - taken)}" if own - taken else "",
    )


def take_weights(task: Downstream, before: RunFolder) -> None:
    """Give a task the weights that the stage before would predict with. One line says what else trains.

    task: the head on its encoder, as it was built.
    before: the run of that stage, of the same task.
    """
    config = before.final_config()
    earlier: Any = structured(type(task).Config, config.task, where=str(before.config_path))
    taken = set(task.take(task.carried(before.trained_state(config.checkpoint), earlier)))
    new = {name for name, each in task.named_parameters() if each.requires_grad} - taken
    # An encoder that was frozen is in no checkpoint: it comes as it was pre-trained, which is not drawn.
    begins = {name for name in new if name.startswith(_ENCODER)}
    if new and is_main():
        _log.info(
            "Goes on from %s%s%s.",
            before,
            f". Drawn anew: {_parts(new - begins)}" if new - begins else "",
            f". Begins to train: {_parts(begins)}" if begins else "",
        )


def _heads_of_run(task: Objective, run: RunFolder, name: str) -> list[str]:
    """Load what an earlier run of the objective `name` has beside its encoder, where shapes agree."""
    before = read_experiment(run.config_path, pretrain=True, saved=True)
    if objective_name(before) != name or not run.checkpoint("best").is_file():
        return []
    state, _ = read_tensors(run.checkpoint("best"))
    heads = {key: value for key, value in state.items() if not key.startswith(_ENCODER) and value.is_floating_point()}
    return task.take(heads)


def _parts(names: set[str]) -> str:
    """Tensors by the modules that hold them.

    >>> _parts({"head.0.weight", "head.0.bias", "codes"})
    'codes, head'
    """
    return ", ".join(sorted({name.partition(".")[0] for name in names}))
