"""An encoder as a graph of tensors alone, written for the engines and kept in the cache folder."""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, first_line
from audiossl.core.files import cache_folder
from audiossl.core.tensors import fingerprint
from audiossl.encoders.devices import device_of
from audiossl.encoders.upstream import Upstream
from audiossl.nn.position import PositionConv

_log = logging.getLogger(__name__)

M = TypeVar("M", bound=nn.Module)


class Graph(nn.Module):
    """Layers 0 to `last` of one recording, or of a part of one, as a function of tensors alone."""

    def __init__(self, upstream: Upstream, last: int) -> None:
        super().__init__()
        self.upstream, self.last = folded(upstream), last

    def forward(self, wav: Tensor, *statistics: Tensor) -> tuple[Tensor, ...]:
        """wav (1, S) -> (1, T, D_l) of each layer."""
        return tuple(self.upstream.encode_even(wav, self.last, statistics))


class _FoldedPositionConv(PositionConv):
    """With the weight as one tensor: a graph would fold its two parts in every pass."""

    def __init__(self, conv: PositionConv) -> None:
        nn.Module.__init__(self)
        self.groups, self.padding, self.surplus, self.bias = conv.groups, conv.padding, conv.surplus, conv.bias
        with torch.no_grad():
            self.register_buffer("whole", conv.weight().detach().clone())

    def weight(self) -> Tensor:
        whole: Tensor = self.get_buffer("whole")
        return whole


def folded(module: M) -> M:
    """A twin of an encoder, or of what has one, on the same weights, but for weight-normalised convolutions, folded."""
    shared = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    twin = copy.deepcopy(module, shared)  # type: ignore[arg-type]
    for part in twin.modules():
        for name, child in part.named_children():
            if isinstance(child, PositionConv):
                setattr(part, name, _FoldedPositionConv(child))
    return twin.eval()


def require(package: str, extra: str) -> None:
    """Raise ConfigError, naming the extra of this distribution to install, where a package does not import."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{extra} needs {package}; install it with: pip install 'audiossl-toolkit[{extra}]'"
        ) from error


def require_modules(upstream: Upstream) -> None:
    """Raise ConfigError for an encoder that is a graph already, of which torch knows no modules."""
    if program := getattr(upstream, "program", None):
        raise ConfigError(
            f"{program} is a graph already and runs as it is, in float32; leave engine, precision and export out."
        )


def onnx_session(path: Path) -> Any:
    """An ONNX file in ONNX Runtime on the CPU, with as many threads as torch has. Raises the runtime's own errors."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def layer_names(count: int) -> list[str]:
    """What the outputs of a graph are called that are layers."""
    return [f"layer_{number}" for number in range(count)]


def traced(upstream: Upstream, last: int, statistics: Sequence[Tensor] = (), graph: nn.Module | None = None) -> Any:
    """A torch.export program of `Graph` for any number of samples that gives two frames or more.

    upstream: the encoder.
    last: the last layer of the graph.
    statistics: those of a whole recording where the graph takes them, else empty.
    graph: what is traced instead of the encoder's layers alone.
    Raises ConfigError for an encoder whose code depends on values of a tensor.
    """
    # Two seconds and a rest: a length that is a special case (one frame, a multiple of anything) would be taken for
    # the rule.
    samples = 2 * upstream.sample_rate_hz + upstream.min_samples + 37
    wav = torch.zeros(1, samples, device=device_of(upstream))
    given = [torch.ones_like(value) for value in statistics]
    shapes: tuple[Any, ...] = ({1: torch.export.Dim.DYNAMIC},)
    if given:
        shapes += (tuple({} for _ in given),)
    require_modules(upstream)
    try:
        with torch.no_grad():
            graph = Graph(upstream, last) if graph is None else graph
            return torch.export.export(graph, (wav, *given), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # torch.export raises errors of many kinds
        what = (
            upstream.display_name if graph is None or isinstance(graph, Graph) else f"A head on {upstream.display_name}"
        )
        raise ConfigError(
            f"{what} cannot be written as a graph ({first_line(error)}); use engine eager or compile."
        ) from error


def write_onnx(
    program: Any, path: Path, outputs: Sequence[str] = (), metadata: Mapping[str, str] | None = None
) -> None:
    """A traced program as ONNX. Above a gigabyte and a half of weights, these go into PATH.data beside it.

    program: of `traced`.
    path: of the file.
    outputs: their names. () for layer_0, layer_1 and so on.
    metadata: what the file says of itself, text by key.
    """
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # of what its optimiser leaves as it is
    names = list(outputs) or layer_names(len(program.graph_signature.user_outputs))
    exported = torch.onnx.export(program, (), dynamo=True, verbose=False, input_names=["wav"], output_names=names)
    assert exported is not None
    exported.model.metadata_props.update(metadata or {})
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    exported.save(str(path), external_data=num_bytes > 1.5e9)


def write_compiled(program: Any, path: Path) -> None:
    """A traced program as a package of compiled code and weights."""
    try:
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    except Exception as error:  # the C++ compiler's, among others
        raise ConfigError(
            f"torch could not compile the encoder ({first_line(error)}); it needs a C++ compiler on the path, or use "
            f"engine=eager."
        ) from error


def cached(
    upstream: Upstream, last: int, statistics: Sequence[Tensor], name: str, write: Callable[[Any, Path], None]
) -> Path:
    """The encoder as a file in the cache folder, written at the first use of these weights, code and versions.

    upstream: the encoder.
    last: the last layer of the graph.
    statistics: those of a whole recording where the graph takes them, else empty.
    name: of the file, which tells one form from another.
    write: writes a traced program to a path.
    """
    packages = {package: version(package) for package in ("torch", "onnx", "onnxscript") if find_spec(package)}
    device = str(device_of(upstream))
    described = [fingerprint(upstream), _code(upstream), last, len(statistics), name, device, packages]
    folder = cache_folder() / "engines" / hashlib.sha256(json.dumps(described).encode()).hexdigest()[:24]
    if not (folder / name).is_file():
        _log.info("Writing %s", folder / name)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
        temporary.mkdir(parents=True)
        # In a folder of its own first: another process must never find half a file.
        try:
            write(traced(upstream, last, statistics), temporary / name)
            try:
                os.replace(temporary, folder)
            except OSError:  # another process was first
                if not (folder / name).is_file():
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / name


def _code(upstream: Upstream) -> str:
    """A hash of the files that hold the classes of the encoder: a graph is as old as its code."""
    classes = {base for module in upstream.modules() for base in type(module).__mro__}
    files = {file for cls in classes if (file := getattr(sys.modules.get(cls.__module__), "__file__", None))}
    torch_folder = str(Path(torch.__file__).parent)
    own = sorted(file for file in files if not file.startswith(torch_folder))
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in own)).hexdigest()
