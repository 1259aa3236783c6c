"""Manifest rows that say something, and a small text encoder of transformers to read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lhotse import CutSet

from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv

WORDS = ("yes", "no", "good", "bad", "day", "never", "rain", "sun")


def text_folder(folder: Path, seed: int = 0) -> Path:
    """A BERT of two blocks with random weights and a tokenizer of a few words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "vocab_size": len(words), "max_position_embeddings": 12}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        BertModel(BertConfig(**sizes)).save_pretrained(folder)
    return folder


def rows_that_say(folder: Path, said: list[dict[str, Any]], samples: int = 4000) -> CutSet:
    """Rows of noise with these columns, as `<folder>/train.jsonl.gz`, `dev` and `test`, all alike."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    names = list(dict.fromkeys(name for row in said for name in row))
    lines = [",".join(["path", *names])]
    for number, row in enumerate(said):
        sound = 0.1 * draw.standard_normal(samples + 400 * (number % 3))
        soundfile.write(folder / f"{number}.wav", sound, 16000)
        lines.append(",".join([f"{number}.wav", *(str(row.get(name, "")) for name in names)]))
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    cuts = next(iter(cuts_from_csv(folder / "rows.csv").values()))
    write_manifests(dict.fromkeys(("train", "dev", "test"), cuts), folder)
    return read_manifest(folder / "train.jsonl.gz")
