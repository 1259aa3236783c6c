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
    assert place(upstream, "cpu").type == place(upstream, "cpu:1").type == "cpu"  # as accelerate calls it
    assert moved == []
    assert place(upstream, "meta").type == place(upstream, torch.device("meta")).type == "meta"
    assert len(moved) == 1


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), ("cpu", "cpu")),
        (("xpu",), ("xpu:0", "xpu:3")),
        (("mps", "xpu"), ("mps", "mps")),
        (("cuda", "mps", "xpu"), ("cuda:0", "cuda:3")),
    ],
)
def test_the_best_device_is_the_gpu_of_the_process(
    there: tuple[str, ...], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in (("cuda", torch.cuda), ("mps", torch.backends.mps), ("xpu", torch.xpu)):
        monkeypatch.setattr(module, "is_available", lambda name=name: name in there)
    assert best_device() == torch.device(expected[0])
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert best_device() == torch.device(expected[1])


def test_an_engine_of_the_cpu_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = load_upstream("log_mel")
    monkeypatch.setattr(devices, "best_device", lambda: torch.device("meta"))
    assert best_device_for(upstream).type == "meta"
    monkeypatch.setattr(type(upstream), "cpu_only", True)
    assert place(upstream).type == "cpu"
