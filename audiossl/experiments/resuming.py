"""What is said of a run that goes on: which of its settings are others now, and that nothing was left to train."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audiossl.core.config import as_dict, plain_values
from audiossl.core.processes import is_main
from audiossl.experiments.config import with_named_objective
from audiossl.experiments.folder import RunFolder

_log = logging.getLogger(__name__)
# Settings of the data on which it depends which rows are in a batch.
_ORDER = {"batch_size", "max_duration_s", "num_buckets", "min_duration_s", "max_crop_s", "balance", "speeds"}
_ORDER |= {"mix", "compose", "order", "window_shards", "subset", "subset_draw"}


def begin_again(run: RunFolder, config: Any) -> int:
    """Say which settings differ from those with which the run was trained so far.

    run: the folder, which still has its earlier configuration.
    config: an `Experiment` or a `PretrainExperiment`, with which it goes on.
    Returns the last step of its log, 0 for none. Raises ConfigError for a configuration that is damaged.
    """
    changes = changed_settings(run, config)
    if changes and is_main():
        _log.info("%s goes on with other settings: %s.", run, ", ".join(changes))
        _warn_of_another_order([change.partition("=")[0] for change in changes])
    return max((line["step"] for line in run.log), default=0)


def changed_settings(run: RunFolder, config: Any) -> list[str]:
    """`data.batch_size=4 (was 8)` for each setting of a run that differs in `config`."""
    before = plain_values(type(config), with_named_objective(run.settings()), where=str(run.config_path))
    return list(_differences(before, as_dict(config)))


def _warn_of_another_order(names: Sequence[str]) -> None:
    """A run stops at the number of a batch, which holds other rows where the order is another one."""
    reordering = [name for name in names if name == "seed" or name.removeprefix("data.").partition(".")[0] in _ORDER]
    if reordering:
        _log.warning(
            "Warning: with another %s, batches are other ones. In the epoch in which the run was stopped, some rows "
            "come again and some not at all.",
            " and ".join(reordering),
        )


def say_if_nothing_was_left(run: RunFolder, before: int | None, after: int) -> None:
    """One line where resuming made no step.

    run: the folder.
    before: what `begin_again` gave. None for a run that is new.
    after: the step at which training ended.
    """
    if before == after and is_main():
        _log.info("%s was finished at step %d already; trainer.steps=%d, for instance, goes on.", run, after, 2 * after)


def _differences(before: Any, after: Any, name: str = "") -> Iterator[str]:
    """`data.batch_size=4 (was 8)` for each setting that differs."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        if before != after:
            yield f"{name}={after} (was {before})"
        return
    for key in [*before, *(key for key in after if key not in before)]:
        yield from _differences(before.get(key), after.get(key), f"{name}.{key}" if name else str(key))
