"""What pre-training runs in: the states of a frozen encoder are computed once and kept."""

from __future__ import annotations

from pathlib import Path

import torch

from audiossl import collate, load_upstream, read_experiment, read_manifest
from audiossl.experiments.surroundings import surroundings_of
from audiossl.training.context import accelerator_of


def test_states_of_rows_are_kept(corpus: Path, tmp_path: Path) -> None:
    config = read_experiment(None, [f"data.dir={corpus}", f"cache.dir={tmp_path}"], pretrain=True)
    rows = {split: read_manifest(corpus / f"{split}.jsonl.gz") for split in ("train", "dev")}
    encoder = load_upstream("log_mel")
    with surroundings_of(config, rows, accelerator_of(config.trainer)) as surroundings:
        states_of = surroundings.keep_states(encoder, (0,))
        chosen = list(rows["dev"])[:2]
        made = states_of(chosen)
    batch = collate(chosen, 16000)
    expected = encoder(batch.wavs, batch.lengths)
    assert torch.equal(made.lengths, expected.lengths)
    for one, other in zip(made.item(1), expected.item(1), strict=True):
        torch.testing.assert_close(one.float(), other, rtol=1e-3, atol=1e-2)  # kept in fp16
    assert len(list(tmp_path.rglob("*.shard"))) > 0
