"""What lies beside an encoder: read from the files of other toolkits, nothing from our own."""

from __future__ import annotations

from pathlib import Path

import torch
from toys.miniatures import encoder, fairseq_state, shell, write

from audiossl import load_upstream, save_upstream
from audiossl.core.files import write_json
from audiossl.core.tensors import write_tensors
from audiossl.encoders.heads import published_heads
from audiossl.encoders.waveform.checkpoints import to_original
from audiossl.encoders.waveform.to_transformers import config_json


def test_a_file_of_fairseq(tmp_path: Path) -> None:
    made = encoder("hubert")
    state = {**fairseq_state(made), "label_embs_concat": torch.ones(12, 8), "_ema": {"w": None}}
    path = write(shell(made, state), tmp_path / "hubert.pt")
    for reference in (str(path), f"fairseq:{path}"):
        heads = published_heads(reference)
        assert list(heads) == ["label_embs_concat"]
        assert torch.equal(heads["label_embs_concat"], torch.ones(12, 8))


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    made = encoder("wav2vec2")
    inner = to_original(made.state_dict(), made.config.conv_norm, "huggingface")
    state = {f"wav2vec2.{name}": value for name, value in inner.items()}
    state |= {"project_hid.weight": torch.ones(8, 24), "quantizer.codevectors": torch.ones(1, 16, 4)}
    write_tensors(tmp_path / "model.safetensors", state, {})
    write_json(tmp_path / "config.json", config_json(made, "wav2vec2", "Wav2Vec2ForPreTraining"))
    assert sorted(published_heads(str(tmp_path))) == ["final_proj.weight", "quantizer.vars"]
    assert sorted(published_heads(f"hf:{tmp_path}")) == ["final_proj.weight", "quantizer.vars"]


def test_a_file_of_torchaudio_has_its_mask_embedding_beside_the_encoder(tmp_path: Path) -> None:
    made = encoder("hubert", mask_embedding=False)
    inner = to_original(made.state_dict(), made.config.conv_norm, "huggingface")
    deeper = {
        name.replace("feature_projection.", "encoder.feature_projection.")
        if name.startswith("feature_projection.")
        else name.replace("encoder.", "encoder.transformer.", 1)
        if name.startswith("encoder.")
        else name: value
        for name, value in inner.items()
    }
    state = {f"wav2vec2.{name}": value for name, value in deeper.items()}
    mask = torch.arange(24.0)
    state |= {"mask_generator.mask_embedding": mask, "logit_generator.label_embeddings": torch.ones(10, 8)}
    path = write(state, tmp_path / "pretrained.pt")
    assert list(published_heads(f"torchaudio:{path}")) == ["label_embs_concat"]
    loaded = load_upstream(f"torchaudio:{path}", num_heads=4)
    assert torch.equal(loaded.get_parameter("mask_embedding"), mask)


def test_our_own_files_hold_an_encoder_alone(tmp_path: Path) -> None:
    save_upstream(load_upstream("log_mel"), tmp_path / "own" / "upstream.safetensors")
    assert published_heads(str(tmp_path / "own")) == {}
    assert published_heads(str(tmp_path / "own" / "upstream.safetensors")) == {}
    assert published_heads("tera_mini") == {}
    assert published_heads("log_mel") == {}
