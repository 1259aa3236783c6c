"""Steps of pre-training: ours against the models that transformers and torchaudio have for it, in a plain loop.

    python -m benchmarks.pretraining --data CORPORA [--objectives hubert] [--device cuda --copies 6] [--write]

wav2vec 2.0 beside `Wav2Vec2ForPreTraining` of transformers: both have base size, the same first weights, the same batch
of recordings of mixed lengths, half of the frames masked, 100 distractors, dropout as published and no layer skipped.
Theirs gets its masks and distractors for nothing, as from workers, ours draws them within the step, scales the stem's
gradient and has a feature penalty. HuBERT beside torchaudio's model for its pre-training: what is equal,
`benchmarks.hubert_steps` says. A step is the forward and backward pass, clipping and the update by Adam. They take
turns.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiossl import load_upstream
from audiossl.core.types import Batch
from audiossl.encoders.testing import pad
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.experiments.building import build_objective
from audiossl.experiments.config import PretrainExperiment
from audiossl.training.config import TrainerConfig
from benchmarks.common import LARGE_STYLE, RATE_HZ, hf_prepared, interleaved, parser, publish, sample_mask, table
from benchmarks.forward import sounds
from benchmarks.gpu_training import Step, stepping
from benchmarks.hubert_steps import HUBERT, hubert_step
from benchmarks.session import Session, mib, sentence_of, spread

STYLES: Mapping[str, dict[str, Any]] = {"base style": {}, "large style": LARGE_STYLE}
TINY = {"conv_widths": (32,) * 7, "width": 48, "num_heads": 4, "ffn_width": 64, "num_layers": 2}
THEIRS = ("transformers, eager", "transformers, SDPA")
OURS = {"audiossl": "auto"}  # and how frames lie in it
# On a GPU in half precision: masked throughout, or real frames alone in the Transformer (what it does by itself).
OURS_IN_HALF = {"audiossl, padded": "padded", "audiossl, packed (varlen)": "auto"}
TITLES = {"wav2vec2": "wav2vec 2.0", "hubert": "HuBERT"}
LR = 1e-5


def main() -> None:
    arguments = _options()
    if arguments.child:
        name, style, precision = arguments.child
        _run_twice(name, style, precision, arguments)
        return
    parts = []
    for objective, style, precision in itertools.product(arguments.objectives, arguments.styles, arguments.precisions):
        if objective == "hubert" and style != "base style":  # of which torchaudio's base model is
            continue
        ours = OURS_IN_HALF if arguments.device == "cuda" and precision == "bf16" else OURS
        contestants = HUBERT if objective == "hubert" else [*THEIRS, *ours]
        title = f"## {TITLES[objective]}, {style}, {precision}"
        parts += [title, _compared(contestants, style, precision, arguments)]
    publish(arguments, "Pre-training, steps", _setting(arguments), *parts)


def measure_wav2vec2(session: Session) -> None:
    """A section of the page of a GPU: one step, in base style and half precision."""
    title = "Pre-training, one step of wav2vec 2.0"
    if session.late(0.85):
        session.say(f"left out for want of time: {title}")
        return
    how = argparse.Namespace(
        device=session.device.type, data=None, copies=1 if session.quick else 4, tiny=session.quick
    )
    useful_s = sum(map(len, _sounds(how)[1])) / RATE_HZ * how.copies
    with session.part(title), tempfile.TemporaryDirectory() as scratch:
        steps, rows, peaks = {}, [], {}
        for name in [*THEIRS[1:], *OURS_IN_HALF]:
            held = session.held()
            try:
                steps[name] = step = _built(name, "base style", "bf16", Path(scratch), how)
                peaks[name] = session.peak_mib(lambda step=step: (step(), step()), above=held)  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001  one contestant that cannot run leaves the others
                steps.pop(name, None)
                rows.append([name, sentence_of(error), "", "", ""])
                session.check(f"a step of wav2vec 2.0: {name}", sentence_of(error), passed=name in THEIRS)
        timings = session.time(steps)
        first = next(iter(timings.values())).median
        for name, timing in timings.items():
            figures = [f"{useful_s / timing.median:.0f}", f"{first / timing.median:.2f}", mib(peaks[name])]
            rows.append([name, spread(timing), *figures])
            session.say(f"wav2vec 2.0; {name}: {spread(timing)} ms a step, {mib(peaks[name])} MiB")
            raw = {"seconds": timing.seconds, "peak_mib": peaks[name]}
            session.numbers.setdefault("wav2vec2", {})[name] = raw
        header = ["contestant", "ms a step", "s of sound a s", "speed against the first", "peak MiB"]
        session.sections[title] = (
            f"As `benchmarks/pretraining.py`, in bf16 autocast and base style, {4 * how.copies} recordings of 3.5 to "
            f"16 s in a batch ({useful_s:g} s). Peak memory: all tensors of the contestant alone, weights and "
            f"optimizer included. Median and quartiles of {session.rounds} steps of each, taking turns.\n\n"
            + table(header, rows)
        )


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.set_defaults(rounds=5)
    made.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    made.add_argument("--objectives", nargs="+", default=list(TITLES), choices=list(TITLES))
    made.add_argument("--styles", nargs="+", default=["base style"], choices=list(STYLES))
    made.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    made.add_argument("--copies", type=int, default=1, help="how often the recordings are in the batch")
    made.add_argument("--tiny", action="store_true", help="a small encoder, for a try")
    made.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    return made.parse_args()


def _setting(arguments: argparse.Namespace) -> str:
    name, wavs = _sounds(arguments)
    useful_s = sum(map(len, wavs)) / RATE_HZ * arguments.copies
    padded_s = max(map(len, wavs)) / RATE_HZ * len(wavs) * arguments.copies
    where = "CPU" if arguments.device == "cpu" else torch.cuda.get_device_name()
    peak = "of all tensors" if arguments.device == "cuda" else "of a process that makes two steps and nothing else"
    return (
        f"{where}. {len(wavs) * arguments.copies} recordings ({name}) of 3.5 to 16 s in a batch: {useful_s:g} s of "
        f"sound, {padded_s:g} s with padding, which does not count as sound. Medians and quartiles of "
        f"{arguments.rounds} steps of each, taking turns. Peak memory: {peak}, weights, gradients and Adam included."
    )


def _compared(contestants: Sequence[str], style: str, precision: str, arguments: argparse.Namespace) -> str:
    """The table of one objective, style and precision."""
    peaks = {name: _peak_mib(name, style, precision, arguments) for name in contestants}
    with tempfile.TemporaryDirectory() as scratch:
        steps = {name: _built(name, style, precision, Path(scratch), arguments) for name in contestants}
        losses = {name: step() for name, step in steps.items()}
        timed = {name: _synchronized(step, arguments.device) for name, step in steps.items()}
        timings = interleaved(timed, arguments.rounds)
    useful_s = sum(map(len, _sounds(arguments)[1])) / RATE_HZ * arguments.copies
    first, rows = timings[contestants[0]].median, []
    for name, timing in timings.items():
        low, high = timing.quartiles
        figures = [f"{timing.median:.2f} [{low:.2f}, {high:.2f}]", f"{useful_s / timing.median:.1f}"]
        rows.append([name, *figures, f"{first / timing.median:.2f}", f"{peaks[name]:.0f}", f"{losses[name]:.2f}"])
    header = ["contestant", "s a step", "s of sound a s", "speed against the first", "peak MiB", "first loss"]
    return table(header, rows)


def _sounds(arguments: argparse.Namespace) -> tuple[str, list[Tensor]]:
    """What the recordings are, and the recordings, of which a try takes the beginnings."""
    name, wavs = sounds(arguments.data)
    return name, [wav[: len(wav) // 6] for wav in wavs] if arguments.tiny else wavs


def _batch(arguments: argparse.Namespace) -> Batch:
    return Batch(*pad(_sounds(arguments)[1] * arguments.copies))


def _options_of(style: str, arguments: argparse.Namespace) -> dict[str, Any]:
    return {**STYLES[style], "layer_drop": 0.0, **(TINY if arguments.tiny else {})}


def _built(name: str, style: str, precision: str, folder: Path, arguments: argparse.Namespace) -> Step:
    """One update of a contestant, with the weights that are in the folder."""
    torch.manual_seed(0)
    options = _options_of(style, arguments)
    device = "cpu" if arguments.device == "cpu" else "auto"
    config = TrainerConfig(precision=precision, lr=LR, optimizer="adamw", device=device)  # type: ignore[arg-type]
    if name in HUBERT:
        return hubert_step(name, options, config, _batch(arguments), torch.device(arguments.device))
    if name not in THEIRS:
        experiment = PretrainExperiment(upstream="wav2vec2", upstream_options=options, objective="wav2vec2")
        task: Any = build_objective(experiment)
        task.upstream.layout = {**OURS, **OURS_IN_HALF}[name]
        return stepping(task, config, [_batch(arguments)])
    write_folder(load_upstream("wav2vec2", weights="random", **options), folder)
    return _their_step(folder, name.split(", ")[1].lower(), precision, arguments)


def _their_step(folder: Path, attention: str, precision: str, arguments: argparse.Namespace) -> Step:
    """One update as one writes it with transformers."""
    from transformers import Wav2Vec2ForPreTraining

    device, batch = torch.device(arguments.device), _batch(arguments)
    model: Any = Wav2Vec2ForPreTraining.from_pretrained(folder, attn_implementation=attention, layerdrop=0.0)
    model = model.train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    given = [each.to(device) for each in _prepared(model, batch)]

    def step() -> float:
        wavs, real, mask, negatives = given
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            made = model(wavs, attention_mask=real, mask_time_indices=mask, sampled_negative_indices=negatives)
        loss = made.loss / mask.sum()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def _prepared(model: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sound, its mask, masked frames and distractors, by the functions of transformers."""
    from transformers.models.wav2vec2 import modeling_wav2vec2 as theirs

    real = sample_mask(batch.wavs, batch.lengths)
    size = int(model._get_feat_extract_output_lengths(batch.wavs.shape[1]))
    frames = model._get_feature_vector_attention_mask(size, real)
    shape = (len(batch), size)
    mask = theirs._compute_mask_indices(shape, mask_prob=0.65, mask_length=10, attention_mask=frames, min_masks=2)
    negatives = theirs._sample_negative_indices(shape, model.config.num_negatives, mask)
    wavs = hf_prepared(model, batch.wavs, batch.lengths)
    return wavs, real, torch.from_numpy(mask), torch.from_numpy(negatives)


def _synchronized(step: Step, device: str) -> Callable[[], None]:
    def run() -> None:
        step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def _peak_mib(name: str, style: str, precision: str, arguments: argparse.Namespace) -> float:
    """MiB that a process of its own takes at the most for two steps, or that its tensors take on the GPU."""
    words = [sys.executable, "-m", "benchmarks.pretraining", "--device", arguments.device]
    words += ["--copies", str(arguments.copies), *(["--tiny"] if arguments.tiny else [])]
    words += ["--data", str(arguments.data)] if arguments.data else []
    done = subprocess.run([*words, "--child", name, style, precision], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}, {style}, {precision} did not run:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def _run_twice(name: str, style: str, precision: str, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        step = _built(name, style, precision, Path(scratch), arguments)
        step()
        step()
    if arguments.device == "cuda":
        print(torch.cuda.max_memory_allocated() / 2**20)
    else:  # not what getrusage says, which a process inherits from the one that started it
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        print(int(status.split("VmHWM:")[1].split()[0]) / 2**10)


if __name__ == "__main__":
    main()
