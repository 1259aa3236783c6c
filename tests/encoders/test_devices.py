"""Where an encoder runs. The meta device stands for a second one, which no machine lacks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from audiossl import load_upstream
from audiossl.encoders import devices
from audiossl.encoders.devices import best_device, best_device_for, device_of, place


def test_where_a_module_is() -> None:
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(load_upstream("log_mel").to("meta")).type == "meta"  # it has buffers alone
    assert device_of(nn.ReLU()).type == "cpu"


def test_an_encoder_is_moved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, moved = load_upstream("tera_mini"), []
    to = upstream.to
    monkeypatch.setattr(upstream, "to", lambda device: (moved.append(device), to(device))[1])
    assert place(upstream, "cpu").type == "cpu"
    assert moved == []
    assert place(upstream, "meta").type == place(upstream, torch.device("meta")).type == "meta"
    assert len(moved) == 1


def test_the_best_device_is_the_gpu_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert best_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert best_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert best_device() == torch.device("cuda", 3)


def test_an_engine_of_the_cpu_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = load_upstream("log_mel")
    monkeypatch.setattr(devices, "best_device", lambda: torch.device("meta"))
    assert best_device_for(upstream).type == "meta"
    monkeypatch.setattr(type(upstream), "cpu_only", True)
    assert place(upstream).type == "cpu"
