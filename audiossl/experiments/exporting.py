"""`audiossl export RUN`: encoder, interface and head as one graph, checked against the run's own predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lhotse.cut import MonoCut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, first_line
from audiossl.core.outputs import check_out
from audiossl.core.types import Batch, Features
from audiossl.encoders.engines.export import FORMATS, SECONDS, TOLERANCES, place_checked, require_onnx, shortest_input
from audiossl.encoders.engines.graph import folded, layer_names, onnx_session, require_modules, traced, write_onnx
from audiossl.encoders.engines.recurrent import with_onnx_lstms
from audiossl.encoders.engines.running import EngineUpstream
from audiossl.encoders.exported.describing import metadata_of
from audiossl.encoders.finetuning import merge_lora
from audiossl.encoders.layers import last_layer
from audiossl.encoders.testing import noise, relative_distance
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import load_run
from audiossl.training.downstream import Downstream


def is_exported_whole(folder: Path) -> bool:
    """Whether a path is a folder in which heads were trained, so that there is more to export than an encoder."""
    run = RunFolder(folder)
    return run.is_run and run.kind != "pretraining"


def export_run(folder: Path, path: Path) -> dict[str, Any]:
    """Write the graph wav (1, S) -> layer_0, layer_1, ... and the outputs of the task, as ONNX with metadata.

    The layers are those that the interface reads, so that `onnx:PATH` is the encoder of the run.

    folder: of a run. Of a sweep its best member is taken.
    path: of the file.
    The graph is compared with what the run predicts of noise of several lengths before the file takes its place.
    Returns the largest relative L2 distance, and facts. Raises ConfigError for what cannot be exported.
    """
    check_out(path, "file", [folder], begins=FORMATS["onnx"])
    require_onnx()
    if RunFolder(folder).kind == "cross_validation":
        raise ConfigError(
            f"{folder} is a cross-validation, whose predictions are means over its folds; export one of {folder}/folds."
        )
    run = load_run(folder, device="cpu")
    said = {"task": run.config.downstream, "interface": run.config.interface}
    return export_task(run.task, path, said, f"The graph of {folder}")


def export_task(task: Downstream, path: Path, said: Mapping[str, Any], what: str) -> dict[str, Any]:
    """As `export_run`, of a task in memory.

    task: on the CPU. LoRA is merged into it, and it is in eval mode afterwards.
    path: of the file.
    said: what the metadata say of it beyond its outputs and their facts.
    what: the graph, for an error.
    """
    task = _plain(task)
    upstream, last = task.upstream, last_layer(task.interface.up_to_layer, task.upstream.num_layers)
    shortest = shortest_input(upstream, max(2, task.min_frames))
    layers, outputs = layer_names(last + 1), list(_expected(task, torch.zeros(1, shortest), last)[1])
    program = traced(upstream, last, graph=RunGraph(task, last))
    metadata = metadata_of(upstream, layers, shortest, {**said, "outputs": outputs, **task.output_facts()})
    error = place_checked(
        path,
        lambda made: write_onnx(program, made, [*layers, *outputs], metadata),
        lambda made: _difference(task, made, last, shortest),
        tolerance=TOLERANCES[torch.float32],
        what=what,
    )
    return {
        "out": str(path),
        "format": "onnx",
        "task": said.get("task", ""),
        "layers": last + 1,
        "outputs": outputs,
        "sample_rate_hz": upstream.sample_rate_hz,
        "min_samples": shortest,
        "largest_difference": error,
    }


class RunGraph(nn.Module):
    """A task as a function of one recording: layers 0 to `last`, then its outputs.

    task: in eval mode. It stays as it is.
    last: the last layer that its interface reads.
    """

    def __init__(self, task: Downstream, last: int) -> None:
        super().__init__()
        self.task, self.last = with_onnx_lstms(folded(task)), last

    def forward(self, wav: Tensor) -> tuple[Tensor, ...]:
        """wav (1, S) -> (1, T, D_l) of each layer, and (1, ...) of each output."""
        states = tuple(self.task.upstream.encode_even(wav, self.last))
        lengths = torch.full((1,), states[0].shape[1], dtype=torch.int64)
        sequence = self.task.interface(Features(states, lengths))
        return (*states, *self.task.outputs(sequence, lengths).values())


def _plain(task: Downstream) -> Downstream:
    """The task on an encoder of plain modules in float32: no engine, and LoRA merged. It is changed in place."""
    upstream = task.upstream
    require_modules(upstream)
    if isinstance(upstream, EngineUpstream):
        task.upstream = upstream = upstream.eager.eval()
    if any(parameter.dtype != torch.float32 for parameter in task.parameters()):
        raise ConfigError(
            "ONNX Runtime, which checks the file, has no bfloat16 on a CPU; train the run again without "
            "upstream_options.precision."
        )
    merge_lora(upstream)
    return task.eval()


def _expected(task: Downstream, wav: Tensor, last: int) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Layers and outputs of a wav (1, S). Raises ConfigError where a prediction has other values under their names."""
    length = torch.tensor([wav.shape[1]])
    cut = MonoCut("noise", 0.0, wav.shape[1] / task.upstream.sample_rate_hz, 0)
    with torch.no_grad():
        features = task.upstream(wav, length, up_to_layer=last)
        outputs = task.outputs(task.interface(features), features.lengths)
        (row,) = task.predict(Batch(wav, length, (cut,)))
    for name, value in outputs.items():  # of which predictions have six decimals
        if name in row and not torch.allclose(torch.tensor(row[name]), value[0].cpu(), rtol=1e-4, atol=1e-5):
            raise ConfigError(
                f"{type(task).__name__} predicts other {name} than its outputs are, so nothing was written; report it."
            )
    return features.layers, outputs


def _difference(task: Downstream, made: Path, last: int, shortest: int) -> float:
    """Relative L2 distance of what differs most from the run. Infinite for another shape."""
    session = onnx_session(made)
    largest, wavs = 0.0, noise(task.upstream, SECONDS)
    for wav in [wavs[-1][:shortest], wavs[-1][: shortest + 1], *(w for w in wavs if len(w) >= shortest)]:
        layers, outputs = _expected(task, wav[None], last)
        expected = [*layers, *outputs.values()]
        try:
            found = [torch.from_numpy(array) for array in session.run(None, {"wav": wav[None].numpy()})]
        except Exception as error:  # the runtime's own, where a number of frames was taken for a constant
            raise ConfigError(
                f"ONNX Runtime cannot run the graph on {len(wav)} samples ({first_line(error)}), so nothing was "
                f"written; export the encoder with --encoder-only, and report this."
            ) from error
        if [one.shape for one in found] != [one.shape for one in expected]:
            return float("inf")
        largest = max([largest, *(relative_distance(a, b) for a, b in zip(found, expected, strict=True))])
    return largest
