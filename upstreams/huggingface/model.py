"""Any audio encoder of the `transformers` package behind the upstream contract.

Hidden states: what enters the first block, then the output of each block. The last one is the encoder's own output,
with its final normalisation where it has one (which versions of transformers put into `hidden_states` or not).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, first_line
from audiossl.core.ranges import Range
from audiossl.core.registry import import_target
from audiossl.encoders.upstream import Upstream
from audiossl.nn.masking import valid_frames
from audiossl.upstreams.huggingface.kinds import Kind, import_transformers, kind_of

# Off, whatever the folder says: masking and skipped blocks are the business of an objective, and adapters shorten the
# sequence after the blocks.
_OFF: dict[str, Any] = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "speech_encoder_layerdrop": 0.0,
    "add_adapter": False,
    "use_intermediate_ffn_before_adapter": False,
}


# Never taken from a folder: these may name code of a repository, which transformers would fetch and run.
_NEVER = ("attn_implementation", "experts_implementation", "auto_map", "custom_pipelines")


_DEPTHS = Range(0, 1000)  # beyond it, building one takes for ever


@dataclass(frozen=True)
class HuggingFaceConfig:
    """What a folder of transformers says. A field that is left out has the default of transformers."""

    model: dict[str, Any] = field(default_factory=dict)
    """What the folder's config.json holds, `model_type` at least."""
    extractor: dict[str, Any] = field(default_factory=dict)
    """What the folder's preprocessor_config.json holds."""


class HuggingFace(Upstream):
    """An encoder of transformers. Every item is run at its own length, without padding."""

    Config = HuggingFaceConfig

    def __init__(self, config: HuggingFaceConfig | None = None, model: nn.Module | None = None) -> None:
        """model: the encoder that `config` describes, to be taken over. Without it, one with random weights is made."""
        super().__init__()
        self.config = config = config or HuggingFaceConfig()
        if "model_type" not in config.model:
            raise ConfigError(
                "The upstream huggingface has no architecture of its own: load a folder, or give model.model_type."
            )
        kind = kind_of(config.model["model_type"])
        made: Any = make_config(kind, config.model) if model is None else model.config
        self.front = kind.front_end(made, make_extractor(kind, config.extractor))
        self.model = without_unused(kind, kind.load_class(kind.encoder)(made) if model is None else model)
        self.sample_rate_hz = self.front.sample_rate_hz
        self.stride, self.receptive_field, self.edge = self.front.stride, self.front.receptive_field, self.front.edge
        self.max_samples = self.front.max_samples
        self.widths = (int(made.hidden_size),) * (int(getattr(made, kind.depth)) + 1)

    @property
    def min_samples(self) -> int:
        return self.front.min_samples

    @property
    def blocks(self) -> nn.ModuleList:  # type: ignore[override]  # not one of its own: it is part of the model
        """The blocks, from the bottom, so that fine-tuning can choose among them."""
        return blocks_of(self.model, self.num_layers - 1)

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames that an input of `num_samples` gives, exactly, and none below `min_samples`. See `frontends`."""
        frames = (num_samples - self.front.first) // self.stride + 1
        enough = num_samples >= self.min_samples
        if isinstance(frames, Tensor) and isinstance(enough, Tensor):
            return frames.where(enough, 0)
        return frames if enough else 0

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        frames = self.num_frames(wavs.shape[1])
        if not len(wavs):
            return [wavs.new_zeros(0, frames, width) for width in self.widths[: last + 1]]
        dtype = next(self.model.parameters()).dtype
        if self.front.prepare_batch is not None and wavs.device.type != "cpu":
            states = self._states(self.front.prepare_batch(wavs, lengths).to(dtype), last)
            real = valid_frames(self.num_frames(lengths), frames)[..., None]
            return [torch.where(real, state[:, :frames], 0) for state in states]
        samples = lengths.tolist()
        inputs = [self.front.prepare(wav[:n]).to(wavs.device, dtype) for wav, n in zip(wavs, samples, strict=True)]
        # Items of one shape go together, since none may be padded.
        groups: dict[torch.Size, list[int]] = {}
        for index, x in enumerate(inputs):
            groups.setdefault(x.shape, []).append(index)
        items: list[list[Tensor]] = [[] for _ in samples]  # of each item, its states (T_item, D)
        for members in groups.values():
            states = self._states(torch.stack([inputs[index] for index in members]), last)
            for row, index in enumerate(members):
                items[index] = [state[row, : self.num_frames(samples[index])] for state in states]
        padded = [[F.pad(state, (0, 0, 0, frames - len(state))) for state in item] for item in items]
        return [torch.stack(layer) for layer in zip(*padded, strict=True)]

    def _states(self, inputs: Tensor, last: int) -> list[Tensor]:
        """States 0 to `last`, each (B, T', D), of inputs of one shape. All blocks are run whatever `last` is."""
        forget_positions(self.model)
        out = self.model(inputs, output_hidden_states=True, return_dict=True)
        states = [*out.hidden_states[:-1], out.last_hidden_state][: last + 1]
        return states if self.front.regroup is None else [self.front.regroup(state) for state in states]

    def train(self, mode: bool = True) -> HuggingFace:
        """Batch normalisation keeps the statistics of pre-training: those of one utterance at a time are no batch's."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def blocks_of(model: nn.Module, depth: int) -> nn.ModuleList:
    """The list of `depth` blocks in an encoder of transformers, which calls it `layers` or `layer`.

    Raises AttributeError where there is none, as for any attribute that an encoder may lack.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth and name.split(".")[-1] in ("layers", "layer"):
            return module
    raise AttributeError(f"{type(model).__name__} has no list of {depth} blocks.")


class _Zero(nn.Module):
    """In place of a branch whose output is added."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def make_config(kind: Kind, fields: dict[str, Any]) -> Any:
    """A configuration object of transformers, with what disturbs plain encoding switched off. Raises ConfigError."""
    import_transformers()
    mapping = import_target("transformers.models.auto.configuration_auto:CONFIG_MAPPING")
    try:
        config = mapping[fields["model_type"]].from_dict(_without_code(fields))
    except Exception as error:  # each version of transformers validates with errors of its own
        reason = first_line(error)
        raise ConfigError(f"transformers cannot use the {fields['model_type']} configuration: {reason}") from error
    # A recogniser's configuration may hold that of its encoder (Parakeet).
    config = getattr(config, "encoder_config", config)
    if not _DEPTHS.holds(depth := getattr(config, kind.depth)):
        raise ConfigError(f"The {fields['model_type']} configuration has {kind.depth}={depth}, not {_DEPTHS}.")
    for name, value in _OFF.items():
        if hasattr(config, name):
            setattr(config, name, value)
    return config


def _without_code(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration, and those inside of it, without what may name code."""
    return {
        key: _without_code(value) if isinstance(value, Mapping) else value
        for key, value in fields.items()
        if key.removeprefix("_").removesuffix("_internal") not in _NEVER
    }


def make_extractor(kind: Kind, settings: dict[str, Any]) -> Any:
    """The preprocessor of transformers. Raises ConfigError."""
    try:
        return getattr(import_transformers(), kind.extractor)(**settings)
    except (TypeError, ValueError, AttributeError, ImportError) as error:
        reason = first_line(error)
        raise ConfigError(f"transformers cannot make the preprocessor {kind.extractor}: {reason}") from error


def without_unused(kind: Kind, model: nn.Module) -> nn.Module:
    """The encoder without what no state depends on. Its output is then the last state.

    Out go what lies between the blocks and the output, and the embedding of masked frames, as nothing is masked.
    """
    for path, replacement in kind.cut.items():
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, nn.Identity() if replacement == "identity" else _Zero())
    if getattr(model, "masked_spec_embed", None) is not None:
        model.register_parameter("masked_spec_embed", None)
    return model


def forget_positions(model: nn.Module) -> None:
    """Drop position tables that an earlier pass left in its own precision.

    transformers keeps the table of the last pass. After one under bfloat16 autocast, or under inference mode, a pass in
    float32 would read rounded positions, or could not be differentiated.
    """
    module: Any
    for module in model.modules():
        if hasattr(module, "cached_sequence_length"):
            module.cached_sequence_length = None
        table = getattr(module, "pe", None)
        if isinstance(table, Tensor) and (table.dtype != torch.float32 or table.is_inference()):
            module.pe = None
