"""A small probe of an encoder while it is pre-trained: is it getting better at something that has labels?

At some evaluations the recordings of a labelled manifest are encoded by the encoder as it is then. Logistic regression
on means and deviations over time of its last layers, fitted on the rows of training, is scored on those of dev.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from lhotse import CutSet

from audiossl.analysis.functionals import functionals_of
from audiossl.analysis.probes import best_layers, check_labels, run_probes
from audiossl.core.types import BatchSource, Metric
from audiossl.data.manifests import read_manifest
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import ProbeConfig
from audiossl.metrics.jackknife import no_intervals
from audiossl.training.context import TrainingContext
from audiossl.training.evaluation import Evaluator
from audiossl.training.objective import Objective


class ProbingEvaluator(Evaluator):
    """Scores an objective on dev, and its encoder by a probe.

    config: which probe, how often.
    """

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config
        self.cuts: Mapping[str, CutSet] = {
            split: read_manifest(Path(config.dir) / f"{split}.jsonl.gz") for split in ("train", "dev")
        }

    def score(self, context: TrainingContext, batches: BatchSource, step: int) -> dict[str, Metric]:
        metrics = super().score(context, batches, step)
        due = step % self.config.every == 0 or step == context.config.steps
        if due and context.accelerator.is_main_process and isinstance(context.task, Objective):
            metrics |= self.probe(context.task.upstream, context.device)
            context.task.train(context.task.training)
        return metrics

    def probe(self, upstream: Upstream, device: torch.device | str) -> dict[str, Metric]:
        """`probe_accuracy` on dev of the layer that is best there, and its number as `probe_layer`.

        upstream: in eval mode afterwards.
        device: where it is.
        """
        layers = parse_layers(self.config.layers, upstream.num_layers)
        with torch.random.fork_rng(devices=[]), no_intervals():
            found = {
                split: functionals_of(upstream, rows, layers, field=self.config.field, device=device, title="Probing")
                for split, rows in self.cuts.items()
            }
            splits = {**found, "test": found["dev"]}
            check_labels(splits)
            best = best_layers(run_probes(splits, ["linear"], metric="accuracy"), "accuracy")["linear"]
        return {"probe_accuracy": best.dev["accuracy"], "probe_layer": Metric(float(best.layer))}
