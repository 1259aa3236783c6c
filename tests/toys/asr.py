"""Letters and the space are tones: an encoder, transcripts and recordings for the tests of speech recognition."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
from lhotse import MonoCut, SupervisionSegment
from torch import Tensor, nn

from audiossl.core.config import make
from audiossl.core.types import Batch
from audiossl.data.inputs import cuts_of
from audiossl.downstreams.asr.task import Asr
from audiossl.training.interface import load_interface
from toys.bands import Bands

RATE = 16000
LETTERS = {"a": 600, "b": 1800, "c": 3000}  # Hz
SPACE_HZ = 4200
TONE_S, GAP_S = 0.06, 0.02


def encoder() -> Bands:
    """Of two layers."""
    return Bands(2, num_bins=96, least=0.1)


def spell(text: str) -> tuple[Tensor, list[tuple[str, float, float]]]:
    """Sound (S,) of a text, and the time of each word in seconds; GAP_S of silence is around every tone."""
    parts, words, now = [torch.zeros(int(GAP_S * RATE))], [], GAP_S
    time_s = torch.arange(int(TONE_S * RATE)) / RATE
    for place, word in enumerate(text.split()):
        tones = [LETTERS[letter] for letter in word]
        begin = now + (TONE_S + GAP_S if place else 0.0)
        for tone in [SPACE_HZ, *tones] if place else tones:
            parts += [0.3 * torch.sin(2 * torch.pi * tone * time_s), torch.zeros(int(GAP_S * RATE))]
            now += TONE_S + GAP_S
        words.append((word, begin, now - GAP_S))
    return torch.cat(parts), words


def sentence(rng: random.Random, num_words: int = 0) -> str:
    words = ["".join(rng.choices([*LETTERS], k=rng.randint(1, 3))) for _ in range(num_words or rng.randint(1, 3))]
    return " ".join(words)


def cut_of(name: str, text: str | None, duration_s: float, speaker: str | None = None) -> MonoCut:
    segment = SupervisionSegment(name, name, 0, duration_s, text=text, speaker=speaker)
    return MonoCut(name, start=0, duration=duration_s, channel=0, supervisions=[segment])


def spoken_batch(num_items: int = 12, seed: int = 0, texts: Sequence[str] = ()) -> Batch:
    rng = random.Random(seed)
    texts = list(texts) or [sentence(rng) for _ in range(num_items)]
    sounds = [spell(text)[0] for text in texts]
    wavs = nn.utils.rnn.pad_sequence(sounds, batch_first=True)
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([len(sound) for sound in sounds])
    noise = 0.002 * torch.randn(wavs.shape, generator=generator)
    wavs = torch.where(torch.arange(wavs.shape[1]) < lengths[:, None], wavs + noise, 0.0)
    cuts = tuple(
        cut_of(f"item-{number}", text, len(sound) / RATE, f"s{number % 3}")
        for number, (text, sound) in enumerate(zip(texts, sounds, strict=True))
    )
    return Batch(wavs, lengths, cuts)


def toy_asr(**options: Any) -> Asr:
    """A small recogniser of the letters and the space, from a fixed seed."""
    torch.manual_seed(0)
    upstream = encoder()
    interface = load_interface("weighted_sum", upstream.widths)
    head = {"projector_width": 16, "hidden": 12, "num_layers": 1, **options.pop("head", {})}
    text = {"symbols": [" ", *LETTERS], **options.pop("text", {})}
    augment = options.pop("spec_augment", {"num_time_masks": 0, "num_feature_masks": 0})
    task = make(Asr, {"head": head, "text": text, "spec_augment": augment, **options}, upstream, interface)
    assert isinstance(task, Asr)
    return task


def trained(task: Asr, batch: Batch, steps: int, lr: float = 0.03) -> Asr:
    """In eval mode, after so many steps with a rate that falls linearly."""
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=lr)
    task.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
    return task.eval()


@functools.cache
def spelling_asr() -> Asr:
    """A recogniser that spells what it hears; trained once (under a second) for all tests, which leave it as it is."""
    return trained(toy_asr(head={"dropout": 0.0}), spoken_batch(16), 60, lr=0.05)


def file_cut(path: Path, text: str) -> MonoCut:
    soundfile.write(path, (0.99 * spell(text)[0]).numpy(), RATE, subtype="PCM_16")
    (cut,) = cuts_of([str(path)])
    return cut
