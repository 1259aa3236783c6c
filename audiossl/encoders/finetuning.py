"""Fine-tuning of an upstream: the parameters that train, and the parts that are in training mode.

Norms and biases alone: BitFit (arXiv:2106.10199) with the affine maps of the norms. LoRA: arXiv:2106.09685. Adapters
beside the feed-forward parts: arXiv:2110.04366.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from audiossl.core.errors import ConfigError, did_you_mean
from audiossl.core.joined_names import positions_of
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Seed, ShareBelowOne, check_ranges
from audiossl.core.tensors import config_of
from audiossl.encoders.building import build_upstream
from audiossl.encoders.frozen_part import STEM, kept_up_to
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.upstream import Upstream
from audiossl.nn.parallel_adapter import ParallelAdapter

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _BatchNorm)


_ATTENTION = ("qkv", "out")  # what our blocks call their attention projections


@dataclass(frozen=True)
class FinetuneConfig:
    """Which parameters of the upstream train beside the head. `finetune: lora` is short for `mode: lora`.

    Blocks beyond the last layer that the interface reads are never run and not counted.
    """

    SHORT: ClassVar[str] = "mode"

    mode: Literal["none", "all", "top_k", "blocks", "norm_and_bias", "lora"] = "none"
    """What trains: nothing ('none'), everything ('all'), the last `top_k` blocks ('top_k'), those that `blocks` names
    ('blocks'), the affine maps of norms and all biases ('norm_and_bias'), or low-rank matrices beside linear layers of
    the blocks ('lora')."""
    members: list[str] = field(default_factory=list)
    """Of several upstreams, those that train, by name or by number from 1. The others stay frozen. Empty for all."""
    top_k: CountOrZero = 0
    """How many of the last blocks train with mode top_k, which needs at least 1."""
    blocks: str = ""
    """Which blocks train with mode blocks, numbers and ranges from 0 at the bottom, such as 0-2 or 0,-1. Empty for
    other modes."""
    lr: Positive | None = None
    """Peak learning rate of the upstream. Null for trainer.lr."""
    reinit_top: CountOrZero = 0
    """Last blocks that begin with weights drawn anew, as those of a pre-trained encoder may have turned back to its
    input (arXiv:2107.04734). With modes all and top_k. 0 for none."""
    reinit_seed: Seed = 0
    """Seed of these weights."""
    freeze_steps: CountOrZero = 0
    """First steps in which only the head trains. 0 for none."""
    freeze_stem: bool = True
    """Whether the convolutional stem never trains, in any mode."""
    lora_rank: Count = 8
    """Rank r of the matrices A and B."""
    lora_alpha: Positive = 16.0
    """Scale of the update, which is (lora_alpha / r) B A x."""
    lora_dropout: ShareBelowOne = 0.0
    """Dropout on x, in the update alone."""
    lora_targets: list[str] = field(default_factory=list)
    """What the linear layers are called that get such matrices. Empty for the attention projections."""
    adapter_width: CountOrZero = 0
    """Hidden units of an adapter beside the feed-forward part of each block, which trains in any mode but none. 0 for
    none. Distillation in the same step passes over it."""
    adapter_noise: NonNegative = 0.0
    """In training, most Gaussian noise on the adapter's hidden units, as a share of their mean: its deviation is drawn
    between a fifth of that and all of it. 0 for none."""

    def __post_init__(self) -> None:
        check_ranges(self, "finetune")
        if self.adapter_width and self.mode == "none":
            raise ConfigError(
                f"finetune.adapter_width={self.adapter_width} adds what trains, and finetune.mode=none lets nothing "
                f"train; set finetune.mode=all, for instance."
            )
        if self.members and self.mode == "none":
            raise ConfigError(
                f"finetune.members={self.members} names what trains, and finetune.mode=none lets nothing train; set "
                f"finetune.mode=all, for instance."
            )
        if self.reinit_top and not (self.mode == "all" or (self.mode == "top_k" and self.top_k >= self.reinit_top)):
            raise ConfigError(
                f"finetune.reinit_top={self.reinit_top} draws the weights of blocks anew, which must train: set "
                f"finetune.mode=all, or top_k of at least as many."
            )
        if (self.mode == "blocks") != bool(self.blocks):
            raise ConfigError(
                f"finetune.mode={self.mode} and finetune.blocks={self.blocks!r}: mode blocks needs the blocks that "
                f"train, such as finetune.blocks=0-2, and other modes have none."
            )
        if self.mode == "top_k" and self.top_k < 1:
            raise ConfigError(f"finetune.top_k={self.top_k}: finetune.mode=top_k needs at least 1 block.")


def make_trainable(upstream: Upstream, config: FinetuneConfig, up_to_layer: int | None = None) -> None:
    """Let those parameters require a gradient that `config` names, and no others.

    Where it names LoRA or adapters, they are added to the encoder.

    up_to_layer: the last layer that is read, None for the last there is. Of joined encoders, `depths` says it.
    Raises ConfigError where the upstream lacks what the mode needs.
    """
    upstream.requires_grad_(False)
    if config.mode == "none":
        return
    if isinstance(upstream, JoinedUpstream):
        for place in positions_of(config.members or upstream.names, upstream.names, key="finetune.members"):
            make_trainable(upstream.parts[place], replace(config, members=[]), upstream.depths[place])
        return
    if config.members:
        raise ConfigError(
            f"finetune.members={config.members} chooses among several upstreams, and there is {upstream.display_name} "
            f"alone; leave it out."
        )
    if config.reinit_top:
        _draw_anew(upstream, config, _blocks_run(upstream, up_to_layer, config.mode))
    if config.mode == "lora":
        _add_lora(upstream, config, _blocks_run(upstream, up_to_layer, config.mode))
    else:
        for parameter in _chosen(upstream, config, up_to_layer):
            parameter.requires_grad_(True)
    if config.adapter_width:
        _add_adapters(upstream, config, _blocks_run(upstream, up_to_layer, config.mode))
    if not any(parameter.requires_grad for parameter in upstream.parameters()):
        raise ConfigError(
            f"finetune.mode={config.mode}: {upstream.display_name} has nothing to train in this mode; leave "
            f"finetune out."
        )


def set_training_mode(upstream: Upstream, training: bool) -> None:
    """Training mode, but for what is frozen, and for batch norms: their statistics stay.

    That is the stem, blocks, and all below the lowest block that trains, dropout of the Transformer's input included.
    """
    upstream.train(training)
    if not training:
        return
    if isinstance(upstream, JoinedUpstream):
        for part in upstream.parts:
            set_training_mode(part, any(parameter.requires_grad for parameter in part.parameters()))
        return
    point = kept_up_to(upstream)
    if point is not None and point != STEM:
        upstream.training = False
        for child in upstream.children():
            child.train(child is upstream.blocks)
    for part in (_stem(upstream), *getattr(upstream, "blocks", ())):
        if part is not None and not any(parameter.requires_grad for parameter in part.parameters()):
            part.eval()
    for module in upstream.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


@contextmanager
def without_adapters(upstream: Upstream) -> Iterator[None]:
    """Pass over the adapters beside feed-forward parts, so that what is computed neither has them nor changes them."""
    adapters = [module for module in upstream.modules() if isinstance(module, ParallelAdapter)]
    for adapter in adapters:
        adapter.active = False
    try:
        yield
    finally:
        for adapter in adapters:
            adapter.active = True


def has_adapters(upstream: Upstream) -> bool:
    """Whether there are adapters beside its feed-forward parts."""
    return any(isinstance(module, ParallelAdapter) for module in upstream.modules())


def merge_lora(upstream: Upstream) -> Upstream:
    """Add LoRA's products to the weights they belong to, in place: W + (alpha / r) B A.

    The outputs stay, the state dict is that of the plain encoder again, and `save_upstream` writes what any
    `load_upstream` reads. An upstream without LoRA stays as it is.
    """
    if not any("lora_" in name for name, _ in upstream.named_parameters()):
        return upstream
    layer_type = _peft().tuners.lora.LoraLayer
    for parent in list(upstream.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, layer_type):
                child.merge(safe_merge=True)  # type: ignore[operator]
                setattr(parent, name, child.get_base_layer())  # type: ignore[operator]
        vars(parent).pop("peft_config", None)
    return upstream


def _draw_anew(upstream: Upstream, config: FinetuneConfig, blocks: list[nn.Module]) -> None:
    """Give the last blocks that are run the weights that an encoder of this shape begins with."""
    if config.reinit_top > len(blocks):
        raise ConfigError(
            f"finetune.reinit_top={config.reinit_top}: {upstream.display_name} runs {len(blocks)} block(s) for this "
            f"interface; choose at most as many."
        )
    if not upstream.name or not hasattr(upstream, "config"):
        raise ConfigError(
            f"finetune.reinit_top={config.reinit_top}: {upstream.display_name} has no name by which another of its "
            f"shape could be drawn; load it by `load_upstream`."
        )
    fresh: Any = build_upstream(upstream.name, config_of(upstream), config.reinit_seed)
    for number in range(len(blocks) - config.reinit_top, len(blocks)):
        blocks[number].load_state_dict(fresh.blocks[number].state_dict())


def _chosen(upstream: Upstream, config: FinetuneConfig, up_to_layer: int | None) -> Iterator[nn.Parameter]:
    """The parameters that train in a mode without LoRA. Raises ConfigError for more blocks than are run."""
    if config.mode in ("top_k", "blocks"):
        blocks = _blocks_run(upstream, up_to_layer, config.mode)
        for number in _numbers(upstream, config, len(blocks)):
            yield from blocks[number].parameters()
        return
    # Modes over the whole encoder, but for blocks that no state needs and a stem that is frozen.
    never_run = list(getattr(upstream, "blocks", ()))
    if never_run:
        never_run = never_run[len(_blocks_run(upstream, up_to_layer, config.mode)) :]
    stem = _stem(upstream) if config.freeze_stem else None
    frozen = never_run if stem is None else [*never_run, stem]
    left_out = {id(parameter) for part in frozen for parameter in part.parameters()}
    everything = config.mode == "all"
    for module in upstream.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in left_out and (everything or isinstance(module, _NORMS) or name.endswith("bias")):
                yield parameter


def _numbers(upstream: Upstream, config: FinetuneConfig, num_blocks: int) -> list[int]:
    """The blocks that train, of those that are run. Raises ConfigError for others."""
    runs = f"{upstream.display_name} runs {num_blocks} block(s) for this interface"
    if config.mode == "top_k":
        if config.top_k > num_blocks:
            raise ConfigError(f"finetune.top_k={config.top_k}: {runs}; choose at most as many, or finetune.mode=all.")
        return list(range(num_blocks - config.top_k, num_blocks))
    try:
        return parse_layers(config.blocks, num_blocks)
    except ConfigError:
        raise ConfigError(
            f"finetune.blocks={config.blocks}: {runs}, 0 to {num_blocks - 1}; write numbers and ranges of these, such "
            f"as 0-1 or -1."
        ) from None


def _stem(upstream: Upstream) -> nn.Module | None:
    stem: nn.Module | None = getattr(upstream, "stem", None)
    return stem


def _blocks_run(upstream: Upstream, up_to_layer: int | None, mode: str) -> list[nn.Module]:
    """The blocks that hidden states 0 to `up_to_layer` need."""
    blocks = list(getattr(upstream, "blocks", ()))
    if not blocks:
        raise ConfigError(
            f"finetune.mode={mode} needs an encoder with `blocks`, and {upstream.display_name} has none; choose "
            f"finetune.mode=all or norm_and_bias."
        )
    # Hidden state l is the output of block l - 1, unless one block stands for several or some layers are no block's.
    one_layer_each = len(blocks) == upstream.num_layers - 1
    return blocks[:up_to_layer] if one_layer_each and up_to_layer is not None else blocks


def _add_adapters(upstream: Upstream, config: FinetuneConfig, blocks: list[nn.Module]) -> None:
    width = config.adapter_width
    if has_adapters(upstream):
        raise ConfigError(
            f"finetune.adapter_width={width}: {upstream.display_name} has adapters from its earlier training, which "
            f"train on with finetune.mode=all; leave adapter_width out."
        )
    for block in blocks:
        if not hasattr(block, "parallel_adapter"):
            raise ConfigError(
                f"finetune.adapter_width={width}: the blocks of {upstream.display_name} have no place for an adapter; "
                f"take an encoder of audiossl's own (such as wav2vec2, hubert, tera or mel_transformer), or LoRA."
            )
        up: Any = block.up  # the first layer of the feed-forward part
        block.parallel_adapter = ParallelAdapter(up.in_features, width, config.adapter_noise)


def _add_lora(upstream: Upstream, config: FinetuneConfig, blocks: list[nn.Module]) -> None:
    peft = _peft()
    linears = [
        f"{number}.{name}"
        for number, block in enumerate(blocks)
        for name, module in block.named_modules()
        if isinstance(module, nn.Linear)
    ]
    known = {name.rpartition(".")[2] for name in linears}
    wanted = config.lora_targets or [name for name in _ATTENTION if name in known]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise ConfigError(
            f"finetune.lora_targets={list(config.lora_targets)}: the blocks of {upstream.display_name} that are run "
            f"have no linear layer {unknown[0] if unknown else _ATTENTION[0]!r}. {did_you_mean('', known)}"
        )
    targets = [name for name in linears if name.rpartition(".")[2] in wanted]
    options = peft.LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout, target_modules=targets
    )
    # Into the list of blocks and not into the upstream: peft reads the `config` of what it is given as its own.
    peft.inject_adapter_in_model(options, upstream.blocks)


def _peft() -> Any:
    try:
        import peft.tuners.lora
    except ImportError as error:
        raise ConfigError(
            "LoRA needs the package peft, which is not installed; run `pip install audiossl-toolkit[lora]`."
        ) from error
    return peft
