"""What lies beside an encoder: read from the files of other toolkits, nothing from our own."""

from __future__ import annotations

from pathlib import Path

import torch
from toys.miniatures import encoder, fairseq_state, in_torchaudio, in_transformers, shell, write

from audiossl import load_upstream, save_upstream
from audiossl.encoders.heads import published_heads


def test_a_file_of_fairseq(tmp_path: Path) -> None:
    made = encoder("hubert")
    state = {**fairseq_state(made), "label_embs_concat": torch.ones(12, 8), "_ema": {"w": None}}
    path = write(shell(made, state), tmp_path / "hubert.pt")
    for reference in (str(path), f"fairseq:{path}"):
        heads = published_heads(reference)
        assert list(heads) == ["label_embs_concat"]
        assert torch.equal(heads["label_embs_concat"], torch.ones(12, 8))


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    heads = {"project_hid.weight": torch.ones(8, 24), "quantizer.codevectors": torch.ones(1, 16, 4)}
    in_transformers(encoder("wav2vec2"), heads, tmp_path)
    for reference in (str(tmp_path), f"hf:{tmp_path}"):
        assert sorted(published_heads(reference)) == ["final_proj.weight", "quantizer.vars"]


def test_a_file_of_torchaudio_has_its_mask_embedding_beside_the_encoder(tmp_path: Path) -> None:
    made = encoder("hubert")
    path = in_torchaudio(made, {"logit_generator.label_embeddings": torch.ones(10, 8)}, tmp_path / "pretrained.pt")
    assert list(published_heads(f"torchaudio:{path}")) == ["label_embs_concat"]
    loaded = load_upstream(f"torchaudio:{path}", num_heads=4).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in made.state_dict().items())


def test_our_own_files_hold_an_encoder_alone(tmp_path: Path) -> None:
    save_upstream(load_upstream("log_mel"), tmp_path / "own" / "upstream.safetensors")
    assert published_heads(str(tmp_path / "own")) == {}
    assert published_heads(str(tmp_path / "own" / "upstream.safetensors")) == {}
    assert published_heads("tera_mini") == {}
    assert published_heads("log_mel") == {}
