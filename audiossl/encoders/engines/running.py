"""Other ways to run a frozen encoder: in bfloat16, compiled by torch, by ONNX Runtime or by OpenVINO.

An engine runs each item of a batch alone, at its own length, so that padding cannot change a result. What it runs is a
graph of tensors alone: wav (1, S), and for a part of a recording the statistics of the whole, to the layers up to the
one that is asked for. Each stop layer is a graph of its own, so that nothing beyond it is computed.
"""

from __future__ import annotations

import functools
import importlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.encoders.engines.graph import cached, onnx_session, require, require_modules, write_compiled, write_onnx
from audiossl.encoders.items import join_items
from audiossl.encoders.upstream import Upstream

ENGINES = ("eager", "compile", "onnx", "openvino")

PRECISIONS = ("fp32", "bf16")


def with_engine(upstream: Upstream, engine: str, precision: str) -> Upstream:
    """The upstream in that precision, run by that engine. Raises ConfigError for what does not go together.

    upstream: the encoder, which is changed and not copied.
    engine: one of ENGINES.
    precision: one of PRECISIONS. In bf16, weights and activations are bfloat16, while spectra and statistics of the
    waveform stay in float32. OpenVINO holds the weights in float32 and computes in bfloat16. ONNX Runtime has no
    bfloat16 on a CPU.
    """
    if engine not in ENGINES or precision not in PRECISIONS:
        raise ConfigError(
            f"engine={engine!r}, precision={precision!r}: the engines are {', '.join(ENGINES)}, the precisions "
            f"{', '.join(PRECISIONS)}."
        )
    require_modules(upstream)
    if upstream.reads and engine != "eager":
        raise ConfigError(f"{upstream.display_name} reads manifest rows, which no engine knows; leave engine out.")
    if engine == "onnx" and precision == "bf16":
        raise ConfigError("ONNX Runtime computes in float32 on a CPU; for bf16 choose engine openvino or compile.")
    if precision == "bf16" and not any(True for _ in upstream.parameters()):
        raise ConfigError(f"{upstream.display_name} has no weights, and spectra need float32; leave precision at fp32.")
    # OpenVINO rounds by itself, from float32 weights.
    if precision == "bf16" and engine != "openvino":
        to_bf16(upstream)
    if engine == "eager":
        return upstream
    # The other engines share the weights of the encoder, whatever their precision is now.
    made: EngineUpstream
    if engine == "compile":
        made = CompiledUpstream(upstream)
    else:
        made = OnnxUpstream(upstream) if engine == "onnx" else OpenVinoUpstream(upstream)
    made.precision = precision
    return made


def to_bf16(upstream: Upstream) -> Upstream:
    """Cast the weights, and the running statistics beside them, but no buffers of modules that have no weights.

    Those are windows, filters and statistics of the training data, which the front ends use in float32.
    """
    for module in upstream.modules():
        own = list(module.parameters(recurse=False))
        for tensor in [*own, *(module.buffers(recurse=False) if own and module is not upstream else [])]:
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(torch.bfloat16)
    return upstream


class EngineUpstream(Upstream):
    """An encoder with the facts and the weights (the same tensors) of an eager one, for frozen inference."""

    engine = "eager"
    precision = "fp32"

    def __init__(self, eager: Upstream) -> None:
        super().__init__()
        padding = getattr(getattr(eager, "config", None), "padding", "exact")
        if padding != "exact":
            raise ConfigError(f"padding={padding!r} needs padded batches, which engines never make; use engine=eager.")
        # The very modules of the eager one: names of weights, fingerprint, blocks and stem are the same.
        self._modules, self._parameters, self._buffers = eager._modules, eager._parameters, eager._buffers
        self._non_persistent_buffers_set = eager._non_persistent_buffers_set
        object.__setattr__(self, "eager", eager)
        self.config, self.name, self.sample_rate_hz = getattr(eager, "config", None), eager.name, eager.sample_rate_hz
        self.widths, self.stride, self.edge = eager.widths, eager.stride, eager.edge
        self.receptive_field = eager.receptive_field
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    eager: Upstream

    @property
    def min_samples(self) -> int:
        return self.eager.min_samples

    @property
    def max_samples(self) -> int | None:  # type: ignore[override]
        return self.eager.max_samples

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        return self.eager.num_frames(num_samples)

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        return self.eager.statistics(blocks)

    def train(self, mode: bool = True) -> EngineUpstream:
        """Always eval: a head may train on it, it never does. See `requires_grad_`."""
        super().train(False)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> EngineUpstream:
        """Raises ConfigError for True."""
        if requires_grad:
            raise _frozen(self)
        return self

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        if torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.parameters()):
            raise _frozen(self)
        items = [self._item(wav[None, :n], last, ()) for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        return join_items(items, self.num_frames(wavs.shape[1]))

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        items = [self._item(wav[None], last, statistics) for wav in wavs]
        return items[0] if len(items) == 1 else [torch.cat(layer) for layer in zip(*items, strict=True)]

    def _item(self, wav: Tensor, last: int, statistics: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            # A graph is traced with a number of frames that is not 1, and may hold for no other case.
            if self.num_frames(wav.shape[1]) < 2:
                return self.eager.encode_even(wav, last, statistics)
            return self.run(wav, last, statistics)

    @abstractmethod
    def run(self, wav: Tensor, last: int, statistics: Sequence[Tensor]) -> Sequence[Tensor]:
        """wav (1, S) of at least two frames -> layers 0 to `last`, each (1, T, D_l)."""


class _GraphUpstream(EngineUpstream):
    """Keeps a loaded graph for each stop layer, with and without given statistics."""

    packages: tuple[str, ...] = ()

    def __init__(self, eager: Upstream) -> None:
        super().__init__(eager)
        for package in self.packages:
            require(package, self.engine)
        self._loaded: dict[tuple[int, int], Callable[[Sequence[Tensor]], Sequence[Tensor]]] = {}

    def run(self, wav: Tensor, last: int, statistics: Sequence[Tensor]) -> Sequence[Tensor]:
        key = last, len(statistics)
        if key not in self._loaded:
            self._loaded[key] = self.load(last, statistics)
        return self._loaded[key]((wav, *statistics))

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> _GraphUpstream:
        self._loaded = {}  # the weights may change, or move to another device
        super()._apply(fn, recurse)
        return self

    @abstractmethod
    def load(self, last: int, statistics: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
        """A function from (wav, *statistics) to the layers. The tensors that it returns are the caller's."""


class CompiledUpstream(_GraphUpstream):
    """torch's compiler, once for all lengths and ahead of time: what it makes is kept in the cache folder."""

    engine = "compile"

    def load(self, last: int, statistics: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
        path = cached(self.eager, last, statistics, "graph.pt2", write_compiled)
        compiled = torch._inductor.aoti_load_package(str(path))
        return lambda inputs: list(compiled(*inputs))


class _ArrayUpstream(_GraphUpstream):
    """Runs an ONNX file outside of torch, on the CPU. Results are moved to where the input is."""

    cpu_only = True

    def load(self, last: int, statistics: Sequence[Tensor]) -> Callable[[Sequence[Tensor]], Sequence[Tensor]]:
        session = self.session(cached(self.eager, last, statistics, "graph.onnx", write_onnx))

        def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
            arrays = [tensor.detach().to("cpu", torch.float32).numpy() for tensor in inputs]
            return [torch.from_numpy(array).to(inputs[0].device) for array in session(arrays)]

        return run

    @abstractmethod
    def session(self, path: Path) -> Callable[[list[Any]], Sequence[Any]]:
        """A function from input arrays to output arrays that the caller owns."""


class OnnxUpstream(_ArrayUpstream):
    """ONNX Runtime with as many threads as torch has."""

    engine = "onnx"
    packages = ("onnx", "onnxscript", "onnxruntime")

    def session(self, path: Path) -> Callable[[list[Any]], Sequence[Any]]:
        session = onnx_session(path)
        names = [value.name for value in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))


class OpenVinoUpstream(_ArrayUpstream):
    """OpenVINO on the CPU with as many threads as torch has, and with bfloat16 by its precision hint."""

    engine = "openvino"
    packages = ("onnx", "onnxscript", "openvino")

    def session(self, path: Path) -> Callable[[list[Any]], Sequence[Any]]:
        core = _openvino_core()
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            request = core.compile_model(core.read_model(str(path)), "CPU", settings).create_infer_request()
        except Exception as error:  # it raises RuntimeError for an operator that it lacks, and others
            raise ConfigError(
                f"OpenVINO cannot run {self.display_name} ({_last_line(error)}); use engine=onnx or eager."
            ) from error

        def run(inputs: list[Any]) -> Sequence[Any]:
            request.infer(inputs, share_inputs=True)
            # Copied: the request's own buffers are overwritten by the next call.
            return [tensor.data.copy() for tensor in request.output_tensors]

        return run


@functools.cache
def _openvino_core() -> Any:
    """The one of this process, which lasts as long as it.

    Each sets a stack for signals, and takes back what it found when it goes. Of several, the second finds that of the
    first: once both are gone, the next signal that has a handler (Ctrl-C, for instance) ends the process.
    """
    return importlib.import_module("openvino").Core()


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).strip().split("\n") if line.strip()]
    return lines[-1].strip().rstrip(".") if lines else type(error).__name__


def _frozen(upstream: EngineUpstream) -> ConfigError:
    return ConfigError(
        f"engine={upstream.engine} is for frozen encoders; to train {upstream.display_name}, use engine=eager."
    )
