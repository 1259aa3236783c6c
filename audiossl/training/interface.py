"""The contract of an interface: from L layers to one sequence (Shih and Harwath, 2024, arXiv:2406.12209)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor, nn

from audiossl.core.config import make
from audiossl.core.errors import ConfigError
from audiossl.core.registry import INTERFACES
from audiossl.core.types import Features
from audiossl.nn.standardization import Standardization


class Interface(nn.Module, ABC):
    """Turns Features with layers of `widths` into one sequence (B, T, width).

    Frames are treated one by one, so padding cannot reach a valid frame. Values in the padding must be finite, or
    the gradient of what is shared by all frames is not. `commutes_with_mean` says that the output is an affine
    function of the layers (with learnable coefficients): interface(mean over time) = mean over time(interface).
    `stackable` says that the output is a function of its parameters and the layers and nothing else. All operations are
    known to `torch.func.vmap`.
    `stacked` is True in the copy that computes several heads as one (`audiossl.training.stacked_heads`). It may then
    choose operations that are fewer and round otherwise.
    `num_parts` says how many sequences of equal width lie side by side in the output, for a head that reads them apart.
    `standardization` is what layers go through before `combine`, None for nothing.
    A subclass sets `width`, and may have a `Config` dataclass with at least `width: int | None = None`.
    """

    Config: ClassVar[type | None] = None
    commutes_with_mean: bool = False
    stackable: bool = False
    stacked: bool = False
    num_parts: int = 1
    width: int

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if not widths:
            raise ValueError("An interface needs at least one layer.")
        self.widths = tuple(widths)
        self.standardization: Standardization | None = None

    @property
    def up_to_layer(self) -> int | None:
        """The last layer that is read, so that an encoder may stop there, or None for all."""
        return None

    @property
    def layers_read(self) -> tuple[int, ...]:
        """The layers that matter, so that a cache need not keep the others: all up to `up_to_layer`."""
        return tuple(range(len(self.widths) if self.up_to_layer is None else self.up_to_layer + 1))

    @abstractmethod
    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        """L tensors (B, T, D_l), or those up to `up_to_layer` -> (B, T, width).

        A layer that is not in `layers_read` may have no frames.
        """

    def forward(self, features: Features) -> Tensor:
        # An encoder that stopped at `up_to_layer` has the first layers only.
        needed = len(self.widths) if self.up_to_layer is None else self.up_to_layer + 1
        if len(features.widths) < needed or features.widths != self.widths[: len(features.widths)]:
            raise ValueError(f"This interface was built for layers of widths {self.widths}, not {features.widths}.")
        return self.combine(self.standardized(features).layers)

    def standardized(self, features: Features) -> Features:
        """The layers as `combine` reads them."""
        if self.standardization is None:
            return features
        return replace(features, layers=tuple(self.standardization(features.layers)))

    def layer_weights(self) -> dict[str, list[float]]:
        """Learnt weight of each layer, by group ('layers' where there is one), or nothing if it has no such weights."""
        return {}

    @property
    def needs_fit(self) -> bool:
        """True while the interface waits for `fit` (statistics of the training features, not gradients)."""
        return False

    def fit(self, features: Iterable[Features]) -> None:
        """Estimate what is not learnt by gradient. It is called once, before training, on training batches.

        features: as `combine` reads them.
        """


def checked_width(width: int | None, natural: int) -> int:
    """The output width that is asked for, or the natural one for None. Raises ConfigError for less than 1."""
    if width is not None and width < 1:
        raise ConfigError(f"width={width}: an interface needs a width of at least 1, or none for {natural}.")
    return natural if width is None else width


def load_interface(name: str, widths: Sequence[int], **options: Any) -> Interface:
    """An interface by name for layers of `widths`. Raises UnknownNameError, ConfigError."""
    return build_interface(name, widths, options)


def build_interface(name: str, widths: Sequence[int], options: Mapping[str, Any]) -> Interface:
    """As `load_interface`, with the options as a mapping."""
    merged = {**INTERFACES.card(name).options, **options}
    interface = make(INTERFACES.load(name), merged, widths, where=f"options of interface {name}")
    if not isinstance(interface, Interface):
        raise TypeError(f"{name} made a {type(interface).__name__}, not an Interface.")
    return interface
