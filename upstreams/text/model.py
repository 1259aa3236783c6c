"""What is said in a recording, by a text encoder of `transformers`: a vector of each of its layers.

Layer 0 is what enters the first block, layer k what comes out of block k. Of the states of the tokens the mean is
taken, as most sentence encoders are trained to, or the first.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from audiossl.core.errors import CheckpointError, ConfigError, LabelError, first_line
from audiossl.core.ranges import Seed
from audiossl.encoders.devices import device_of
from audiossl.encoders.formats.pickled import refused
from audiossl.encoders.hub import local_path, shards_of
from audiossl.encoders.naming import namer_of
from audiossl.encoders.row_upstream import RowUpstream
from audiossl.upstreams.huggingface.convert import quiet_transformers
from audiossl.upstreams.huggingface.kinds import import_transformers

if TYPE_CHECKING:
    from lhotse.cut import Cut

_UNUSED = "pooler"  # the part of BERT's kin that is trained for the next sentence


@dataclass(frozen=True)
class TranscriptConfig:
    """Which encoder reads what of a row."""

    model: str = ""
    """The encoder: a folder of transformers with its tokenizer, or hf:<owner>/<name>."""
    field: str = "text"
    """The field with the words. 'text' is the transcript."""
    pooling: Literal["mean", "first"] = "mean"
    """What stands for a text: the mean over its tokens, or the first of them ([CLS])."""
    weights: str = "pretrained"
    """Those of the folder, or 'random' for a baseline. `load_upstream` fills it in."""
    seed: Seed = 0
    """Seed of random weights. `load_upstream` fills it in."""


class TranscriptEncoder(RowUpstream):
    """Layers (B, 1, D) of a text encoder. A text is run beside those alone that have as many tokens."""

    Config = TranscriptConfig
    loads_encoder = True

    def __init__(self, config: TranscriptConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TranscriptConfig()
        self.reads = (config.field,)
        if not config.model:
            raise ConfigError(
                "text reads transcripts by an encoder that it must be told: set upstream_options.model (or -o model=) "
                "to a folder of transformers, or to hf:<owner>/<name>."
            )
        folder = local_path(config.model, namer_of(config.model))[0]
        self.tokenizer, self.model = _load(folder, random_init=config.weights == "random", seed=config.seed)
        made: Any = self.model.config
        self.longest = getattr(made, "max_position_embeddings", None)
        self.widths = (int(made.hidden_size),) * (int(made.num_hidden_layers) + 1)

    def encode_rows(self, cuts: Sequence[Cut], last: int) -> Sequence[Tensor]:
        tokens = [self._tokens(cut) for cut in cuts]
        groups: dict[int, list[int]] = {}
        for place, ids in enumerate(tokens):
            groups.setdefault(len(ids), []).append(place)
        rows: list[Tensor] = [torch.empty(0)] * len(cuts)  # of each text, (L, D)
        for members in groups.values():
            batch = torch.tensor([tokens[place] for place in members], device=device_of(self))
            for place, row in zip(members, self._states(batch, last), strict=True):
                rows[place] = row
        return list(torch.stack(rows, dim=1)[:, :, None])  # L of (B, 1, D)

    def _tokens(self, cut: Cut) -> list[int]:
        found: list[int] = self.tokenizer(self.said(cut, self.config.field), verbose=False)["input_ids"]
        if self.longest is not None and len(found) > self.longest:
            raise LabelError(
                f"Row {cut.id!r} has {len(found)} tokens in the field {self.config.field!r}, and {self.config.model} "
                f"reads {self.longest}; cut the recording into parts, or take another encoder."
            )
        if not found:
            raise LabelError(f"Row {cut.id!r} has no token that {self.config.model} knows; mend its text.")
        return found

    def _states(self, tokens: Tensor, last: int) -> Tensor:
        """(B, N) tokens -> (B, L, D)."""
        mask = torch.ones_like(tokens)
        states = self.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states[: last + 1]
        whole = torch.stack([state.float() for state in states], dim=1)  # (B, L, N, D)
        return whole[:, :, 0] if self.config.pooling == "first" else whole.mean(dim=2)


def _load(folder: Path, *, random_init: bool, seed: int) -> tuple[Any, Any]:
    """Tokenizer and encoder of a folder. Raises CheckpointError for weights that lack something, ConfigError."""
    import_transformers()
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    for index in folder.glob("*.index.json"):
        shards_of(index)  # transformers would follow it to any folder
    lacks: list[str] = []
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            if random_init:
                described = AutoConfig.from_pretrained(folder, local_files_only=True)
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    model = AutoModel.from_config(described)
            else:
                how: dict[str, Any] = {"local_files_only": True, "output_loading_info": True, "dtype": torch.float32}
                model, info = AutoModel.from_pretrained(folder, **how)
                lacks = sorted(name for name in info["missing_keys"] if _UNUSED not in name)
    except pickle.UnpicklingError as error:  # whose message advises to run the file
        raise refused(folder) from error
    except Exception as error:  # transformers, tokenizers, safetensors and torch raise their own
        raise CheckpointError(f"{folder} is no text encoder of transformers ({first_line(error)}).") from error
    if lacks:
        raise CheckpointError(f"The weights in {folder} lack {', '.join(lacks[:5])}; get them again.")
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    if getattr(model, _UNUSED, None) is not None:
        setattr(model, _UNUSED, None)
    return tokenizer, model.eval()
