"""What pre-training runs in, as an objective may ask for it: rows, devices, and hidden states of frozen encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from accelerate import Accelerator

from audiossl.core.tensors import fingerprint
from audiossl.core.types import Features
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.cached_batches import fill, passes_of
from audiossl.experiments.config import Experiment, PretrainExperiment
from audiossl.features.access import open_states
from audiossl.training.objective import RowStates, Surroundings

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


@contextmanager
def surroundings_of(
    config: Experiment | PretrainExperiment, rows: Mapping[str, CutSet], accelerator: Accelerator
) -> Iterator[Surroundings]:
    """Of a training by an objective, until it ends.

    config: of the training.
    rows: by split.
    accelerator: which process this is, of how many, and on which device.
    """
    with ExitStack() as until_the_end:

        def keep_states(upstream: Upstream, layers: Sequence[int]) -> RowStates:
            source = open_states(
                upstream,
                fingerprint(upstream),
                config.cache,
                "pooled" if getattr(upstream, "join", "") == "pooled" else "frames",
                layers=layers,
                device=accelerator.device,
                world=accelerator.num_processes,
            )
            until_the_end.callback(source.close)
            fill([source], passes_of(rows, config.data), config.data, accelerator, config.trainer)

            def states_of(cuts: Sequence[Cut]) -> Features:
                features = source.batch(cuts).features
                assert features is not None
                return features

            return states_of

        yield Surroundings(rows, config.data, accelerator.device, keep_states)
