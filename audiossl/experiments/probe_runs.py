"""A probe as a run: the logistic regression of the layer that dev chose, as a head that predicts.

A probe reads means m and deviations d over time of a layer, brought to ((m, d) - mean) / scale by training items. The
run standardises the layer's frames by the mean and scale of m. The mean over time commutes with that, so that what the
head pools are (m - mean_m) / scale_m and d / scale_m. What is left to do to the second is folded into the weights:

    W_d (d - mean_d) / scale_d + b = (W_d scale_m / scale_d) (d / scale_m) + (b - W_d mean_d / scale_d)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probes import LinearProbe, ProbeResult, best_layers
from audiossl.analysis.probing import probe_upstream
from audiossl.core.comma_lists import comma_list
from audiossl.core.errors import ConfigError, OutputError
from audiossl.core.types import metrics_as_json
from audiossl.encoders.devices import best_device_for
from audiossl.encoders.kept import Identified
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.experiments.config import DataConfig, Experiment, inputs_of
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.leftovers import has_weights
from audiossl.experiments.run import Run
from audiossl.experiments.training import begin_single, facts_of, finish_single
from audiossl.features.config import CacheConfig
from audiossl.training.checkpoints import BestWeights, Checkpoints
from audiossl.training.downstream import Downstream


def probe(
    upstream: str,
    data: str | Path = "data",
    out: str | Path = "probe",
    options: ProbeOptions | None = None,
    *,
    upstream_options: Mapping[str, Any] | None = None,
    cache: CacheConfig | None = None,
    keep: str | Path | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Probe an encoder layer by layer. What `audiossl probe` does.

    upstream: its name, as `load_upstream` takes it.
    data: a folder with the manifests train, dev and test.
    out: the folder for probes.json, probes.md and probes.png.
    options: what is asked of which layers. None for the defaults.
    upstream_options: the encoder's own.
    cache: where vectors are kept, so that the encoder runs once. None for nowhere.
    keep: a run folder for the linear probe of the layer that dev chose, which `load_run` reads. None for no run.
    overwrite: replace a run that is there.
    Returns what probes.json holds, and as `kept` what became a run, with its figures on test.
    Raises ConfigError, LabelError, OutputError, TrainingError, and what loading the encoder and reading sound raise.
    """
    options, data, out = options or ProbeOptions(), Path(data), Path(out)
    if keep is None:
        return probe_upstream(upstream, data, out, options, upstream_options, cache).facts
    _check_keepable(Path(keep), options, overwrite)
    run, config = RunFolder(keep), _experiment(upstream, data, options, upstream_options, cache)
    with run.writing(resume=False, overwrite=overwrite, inputs=inputs_of(config)):
        probed = probe_upstream(upstream, data, out, options, upstream_options, cache)
        best = best_layers(probed.results, options.metric)["linear"]
        metrics = _keep(run, config, probed.encoder, best).evaluate("test")
    kept = {"run": str(run), "layer": best.layer, best.setting: best.value, "test": metrics_as_json(metrics)}
    return {**probed.facts, "kept": kept}


def _check_keepable(keep: Path, options: ProbeOptions, overwrite: bool) -> None:
    """Raise an error, before anything is encoded, where there would be nothing to keep or something to lose."""
    if "linear" not in comma_list(options.probes):
        raise ConfigError(
            f"--keep makes a run of the linear probe, and --probes {options.probes} has none (no head of a run is a "
            f"kNN, an SVM or an MLP); add linear to it."
        )
    if options.factors:
        raise ConfigError("--keep makes no run of a probe of factors; train one with task.pooling=factors.")
    if has_weights(keep) and not overwrite:
        raise OutputError(f"{keep} has a run already; choose another folder with --keep, or add --overwrite.")


def _experiment(
    upstream: str,
    data: Path,
    options: ProbeOptions,
    upstream_options: Mapping[str, Any] | None,
    cache: CacheConfig | None,
) -> Experiment:
    """The configuration, but for what only the probe knows: the layer and the labels."""
    # Of the forms in which heads read the cache, single precision is that of means alone.
    exact = cache is not None and options.pooling == "mean"
    return Experiment(
        downstream="utterance_classification",
        task={
            "label_field": options.field,
            "projector_width": None,
            "pooling": options.pooling,
            "class_weights": True,  # as the probe weights classes
        },
        upstream=upstream,
        upstream_options=dict(upstream_options or {}),
        interface="layer",
        standardize=True,
        data=DataConfig(dir=str(data)),
        features="auto" if exact else "off",
        cache=cache or CacheConfig(),
        seed=options.seed,
    )


def _keep(run: RunFolder, config: Experiment, encoder: Identified, best: ProbeResult) -> Run:
    """Write the run, but for its evaluations."""
    assert best.linear is not None
    config = replace(
        config,
        task={**config.task, "labels": list(best.linear.labels)},
        interface_options={"index": best.layer},
    )
    config = complete_config(config, config.data.rows("train"))
    task = build_downstream(config, encoder.upstream)
    task.load_trainable_state(_state(task, best.layer, best.linear))
    chosen = {"name": best.probe, best.setting: best.value, "layer": best.layer}
    facts = replace(facts_of(task, 1, encoder.fingerprint), probe=chosen)
    begin_single(run, config, task, facts, resume=False)
    on_dev = BestWeights(best.dev[task.monitor.name].value, step=0)
    Checkpoints(run.path).keep(task, on_dev, [], gained=True)
    finish_single(run, config, task)
    device = best_device_for(encoder.upstream)
    return Run(run.path, config, task.to(device).eval(), device, encoder.fingerprint)


def _state(task: Downstream, layer: int, linear: LinearProbe) -> dict[str, Tensor]:
    """What the task has to load to be the probe."""
    width = task.interface.width
    mean, scale = (each.astype("float64") for each in linear.scaling)
    weight, bias = linear.weight.copy(), linear.bias.copy()
    folded = weight[:, width:] / scale[width:]  # of the deviations, (C, D), or (C, 0) of means alone
    bias -= folded @ mean[width:]
    weight[:, width:] = folded * scale[: folded.shape[1]]
    fitted = {
        "classifier.weight": weight,
        "classifier.bias": bias,
        f"interface.standardization.mean_{layer}": mean[:width],
        f"interface.standardization.deviation_{layer}": scale[:width],
    }
    state = {name: torch.from_numpy(value).float() for name, value in fitted.items()}
    return {**task.trainable_state(), **state, "interface.standardization.fitted": torch.tensor(True)}
