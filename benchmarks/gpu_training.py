"""Steps on a device: fine-tuning against a plain loop with transformers, heads on kept states, and pre-training."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lhotse import MonoCut, SupervisionSegment
from torch import Tensor, nn

from audiossl import load_upstream
from audiossl.core.types import Batch
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.testing import pad
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.experiments.building import build_downstream, build_objective, complete_config, fit_statistics
from audiossl.experiments.config import PretrainExperiment, read_experiment
from audiossl.experiments.start import train
from audiossl.training.config import TrainerConfig
from audiossl.training.context import TrainingContext
from audiossl.training.step import Stepper
from audiossl.training.task import Task
from benchmarks.common import LARGE_STYLE, LENGTHS_S, RATE_HZ, hf_prepared, make_sound, sample_mask, table
from benchmarks.gpu_forward import STYLES, TINY, layouts_of, plain_float32
from benchmarks.session import Session, mib, sentence_of, spread

LABELS = [f"speaker_{number}" for number in range(10)]
FINE_TUNED = ("wav2vec2, base style", "wav2vec2, large style at base size", "wavlm, base")
# Of TERA: precision, and how frames lie.
TERA_STEPS = {
    "fp32": ("fp32", "auto"),
    "bf16, padded": ("bf16", "padded"),
    "bf16, packed (varlen)": ("bf16", "auto"),
}
UNDROPPED = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feature_dropout": 0.0}
Step = Callable[[], float]  # one update, its loss


def device_setting(session: Session) -> str:
    """What `trainer.device` must be for the device that is measured."""
    return "cpu" if session.device.type == "cpu" else "auto"


def batches_of(session: Session, lengths_s: tuple[float, ...], copies: int, number: int = 2) -> list[Batch]:
    """Batches of noise in memory, of mixed lengths, each recording with a speaker."""
    draw, made = np.random.default_rng(1), []
    for _ in range(number):
        counts = [int(s * (0.05 if session.quick else 1.0) * RATE_HZ) for s in lengths_s * copies]
        wavs, lengths = pad([torch.from_numpy(0.05 * draw.standard_normal(n).astype(np.float32)) for n in counts])
        cuts = tuple(_cut(f"{index}", n / RATE_HZ, LABELS[index % len(LABELS)]) for index, n in enumerate(counts))
        batch = Batch(wavs, lengths, cuts)
        made.append(batch.pin_memory() if session.device.type == "cuda" else batch)
    return made


def _cut(name: str, duration_s: float, speaker: str) -> MonoCut:
    segment = SupervisionSegment(name, name, 0, duration_s, speaker=speaker)
    return MonoCut(name, start=0, duration=duration_s, channel=0, supervisions=[segment])


def measure_fine_tuning(session: Session) -> None:
    """Milliseconds and memory of one step for each style."""
    title = "Fine-tuning, one step"
    batches = batches_of(session, LENGTHS_S, 1 if session.quick else 2)
    session.sections[title] = (
        f"{len(batches[0])} recordings in a batch, {sum(batches[0].lengths.tolist()) / RATE_HZ:g} s of sound in the "
        "lengths of the forward pass. Everything but the convolutional stem trains, under the utterance head of "
        "SUPERB (a weighted sum of all layers, 256, mean over time, 10 classes), with Adam, clipping, bf16 autocast. "
        "transformers: `AutoModelForAudioClassification(use_weighted_layer_sum=True)` in a plain loop, without masks "
        "of its own, on sound that is normalised already. Dropout as published, no layer is skipped. Peak memory: all "
        "tensors of the contestant alone, weights and optimizer included. Median and quartiles of "
        f"{session.rounds} steps of each, taking turns."
    )
    for style in FINE_TUNED[: 1 if session.quick or session.short else None]:
        if session.late(0.85):
            session.say(f"left out for want of time: fine-tuning, {style}")
            continue
        with session.part(f"{title}: {style}"):
            session.sections[f"{title}: {style}"] = _fine_tuning(session, style, batches)


def _fine_tuning(session: Session, style: str, batches: list[Batch]) -> str:
    family, options = STYLES[style]
    options = {**options, "layer_drop": 0.0, **(TINY if session.quick else {})}
    rows, steps, peaks = [], {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_folder(load_upstream(family, weights="random", **options), folder)
        if not session.short:
            _same_gradient(session, style, folder)
        contestants = _fine_tuned(session, folder, batches, layouts_of(style, "bfloat16"))
        for name, build in contestants.items():
            try:
                held = session.held()
                step = build()
                peaks[name] = session.peak_mib(lambda step=step: (step(), step()), above=held)  # type: ignore[misc]
                steps[name] = step
            except Exception as error:  # noqa: BLE001  one contestant that cannot run leaves the others
                rows.append([name, sentence_of(error), "", ""])
                session.check(f"{style}: a step of {name}", sentence_of(error), passed=not name.startswith("audiossl"))
        timings = session.time(steps)
    first = next(iter(timings.values())).median
    for name, timing in timings.items():
        rows.append([name, spread(timing), f"{first / timing.median:.2f}", mib(peaks[name])])
        raw = {"seconds": timing.seconds, "peak_mib": peaks[name]}
        session.numbers.setdefault("fine_tuning", {})[f"{style}; {name}"] = raw
        session.say(f"{style}; {name}: {spread(timing)} ms a step, {mib(peaks[name])} MiB")
    return table(["contestant", "ms a step", "speed against the first", "peak MiB"], rows)


def _fine_tuned(
    session: Session, folder: Path, batches: list[Batch], layouts: Mapping[str, str]
) -> dict[str, Callable[[], Step]]:
    """The contestants, each made when it is called."""
    made: dict[str, Callable[[], Step]] = {}
    if not session.short:
        made["transformers, eager"] = lambda: their_step(session, folder, batches, "eager")
    made["transformers, SDPA"] = lambda: their_step(session, folder, batches, "sdpa")
    for name, layout in layouts.items():
        made[name] = lambda layout=layout: our_step(session, folder, batches, layout)  # type: ignore[misc]
    if not session.short:
        made["audiossl, gradient_checkpointing"] = lambda: our_step(
            session, folder, batches, gradient_checkpointing=True
        )
    return made


def our_step(session: Session, folder: Path, batches: list[Batch], layout: str = "auto", **options: Any) -> Step:
    """One update by the parts of our trainer, of everything but the stem."""
    words = [f"upstream=hf:{folder}", "task.label_field=speaker", "standardize=false", "finetune=all"]
    words += ["trainer.precision=bf16", "trainer.lr=1e-5", f"trainer.device={device_setting(session)}"]
    config = read_experiment(None, words)
    config = complete_config(config, [cut for batch in batches for cut in batch.cuts])
    upstream: Any = load_upstream(f"hf:{folder}", layer_drop=0.0, **options)
    upstream.layout = layout
    return stepping(build_downstream(config, upstream), config.trainer, batches)


def stepping(task: Task, config: TrainerConfig, batches: list[Batch]) -> Step:
    """The trainer's update of a task, without loader, log and checkpoints."""
    context, stepper = TrainingContext(task, config, seed=0), Stepper()
    context.prepare()
    stream, numbers = itertools.cycle(batches), itertools.count()

    def step() -> float:
        number = next(numbers)
        task.begin_step(number)
        turns = stepper.step(context, number, stream)
        while True:
            try:
                next(turns)
            except StopIteration as end:
                task.after_step(number)
                return float(end.value.figures["loss"])

    return step


def their_model(folder: Path, attention: str, **options: Any) -> Any:
    from transformers import AutoModelForAudioClassification

    settings = {"num_labels": len(LABELS), "use_weighted_layer_sum": True, "classifier_proj_size": 256, **options}
    settings |= {"layerdrop": 0.0, "apply_spec_augment": False}
    try:
        made = AutoModelForAudioClassification.from_pretrained(folder, attn_implementation=attention, **settings)
    except ValueError:  # a model without that form
        made = AutoModelForAudioClassification.from_pretrained(folder, **settings)
    made.layer_weights.data.zero_()  # what transformers leaves there is uninitialised memory
    made.freeze_feature_encoder()
    return made.train()


def their_step(session: Session, folder: Path, batches: list[Batch], attention: str) -> Step:
    """One update as one writes it with transformers."""
    device = session.device
    model = their_model(folder, attention).to(device)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    ready = [(hf_prepared(model, each.wavs, each.lengths), *_labels_and_mask(each)) for each in batches]
    if device.type == "cuda":
        ready = [tuple(tensor.pin_memory() for tensor in each) for each in ready]  # type: ignore[misc]
    stream = itertools.cycle(ready)

    def step() -> float:
        wavs, labels, mask = (tensor.to(device, non_blocking=True) for tensor in next(stream))
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(wavs, attention_mask=mask, labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def _labels_and_mask(batch: Batch) -> tuple[Tensor, Tensor]:
    known = sorted({cut.supervisions[0].speaker for cut in batch.cuts})
    labels = torch.tensor([known.index(cut.supervisions[0].speaker) for cut in batch.cuts])
    return labels, sample_mask(batch.wavs, batch.lengths)


def _same_gradient(session: Session, style: str, folder: Path) -> None:
    """Loss and norm of the gradient of one recording, in float32 without dropout, with the same head."""
    draw = torch.Generator().manual_seed(0)
    wav = 0.05 * torch.randn(1, 2 * RATE_HZ, generator=draw)
    cut = _cut("one", 2.0, LABELS[3])
    config = read_experiment(None, ["task.label_field=speaker", "standardize=false", "finetune=all"])
    config = complete_config(config, [_cut(label, 1.0, label) for label in LABELS])
    task: Any = build_downstream(config, load_upstream(f"hf:{folder}", layer_drop=0.0, **UNDROPPED)).train()
    names = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
    model = their_model(folder, "sdpa", **dict.fromkeys(names, 0.0))
    task.projector.load_state_dict(model.projector.state_dict())
    task.classifier.load_state_dict(model.classifier.state_dict())
    task, model = task.to(session.device), model.to(session.device)
    prepared = hf_prepared(model, wav, torch.tensor([wav.shape[1]])).to(session.device)
    with plain_float32():
        ours = task.loss(Batch(wav, torch.tensor([wav.shape[1]]), (cut,)).to(session.device)).total
        theirs = nn.functional.cross_entropy(_their_logits(model, prepared), torch.tensor([3], device=session.device))
        ours.backward()
        theirs.backward()
    norms = [_gradient_norm(task), _gradient_norm(model)]
    session.check(
        f"{style}: loss as in transformers (relative)", abs(float(ours.detach() / theirs.detach()) - 1), most=1e-4
    )
    session.check(f"{style}: norm of the gradient likewise", abs(norms[0] / norms[1] - 1), most=1e-3)


def _their_logits(model: Any, wavs: Tensor) -> Tensor:
    """What transformers' classifier gives, the last layer being its last hidden state.

    Its own weighted sum reads the last layer of encoders of the large style before the layer normalisation that ends
    them, and its encoder, as the published ones, gives it after that.
    """
    found = model.base_model(wavs, output_hidden_states=True)
    layers = torch.stack([*found.hidden_states[:-1], found.last_hidden_state])
    summed = torch.tensordot(model.layer_weights.softmax(0), layers, dims=1)
    logits: Tensor = model.classifier(model.projector(summed).mean(dim=1))
    return logits


def _gradient_norm(model: nn.Module) -> float:
    return float(nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]))


def measure_heads(session: Session) -> None:
    """Training a head through `train`: hidden states in every epoch, computed once, or there already."""
    title = "A head on a frozen encoder"
    with session.part(title), tempfile.TemporaryDirectory() as scratch:
        folder, quick = Path(scratch), session.quick
        files, epochs, rounds = (12, 2, 1) if quick else (200, 10, 3)
        _corpus(folder, files)
        options = {**LARGE_STYLE, **(TINY if quick else {})}
        write_folder(load_upstream("wav2vec2", weights="random", **options), folder / "encoder")
        forms = {
            "features=off": ("off", False),
            "frames, with extraction": ("frames", True),
            "frames, when they are there": ("frames", False),
            "pooled, with extraction": ("pooled", True),
            "pooled, when they are there": ("pooled", False),
        }
        actions = {
            name: (lambda form=form, empty=empty: _head(session, folder, form, empty, epochs, files))  # type: ignore[misc]
            for name, (form, empty) in forms.items()
        }
        timings = session.time(actions, rounds=1 if session.late(0.7) else rounds, warmup=0)
        base = timings["features=off"].median
        rows = [[n, f"{t.median:.2f}", f"{base / t.median:.1f}"] for n, t in timings.items()]
        session.numbers["heads"] = {name: timing.seconds for name, timing in timings.items()}
        session.sections[title] = (
            f"`train` from its configuration to its run folder, the loading of the encoder included: {epochs} epochs "
            f"on {files} made-up recordings of 0.5 to 4 s in batches of 16, dev once at the end, wav2vec 2.0 of base "
            f"size and large style with random weights. Medians of {len(timings['features=off'].seconds)} round(s).\n\n"
            + table(["contestant", "s", "speed against features=off"], rows)
        )


def _corpus(folder: Path, files: int) -> None:
    paths = make_sound(folder / "sound", files, RATE_HZ)
    lines = ["path,label,split"]
    for number, path in enumerate(paths):
        split = "dev" if number % 5 == 0 else "train"
        lines.append(f"{path},{'abcd'[number % 4]},{split}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder / "manifests")


def _head(session: Session, folder: Path, form: str, empty: bool, epochs: int, files: int) -> None:
    cache = folder / f"cache_{form}"
    if empty:
        shutil.rmtree(cache, ignore_errors=True)
    steps = epochs * -(-files * 4 // 5 // 16)
    words = [f"upstream=hf:{folder / 'encoder'}", f"data.dir={folder / 'manifests'}", "data.batch_size=16"]
    words += [f"trainer.steps={steps}", "trainer.eval_every=0", f"trainer.save_every={steps}"]
    words += [f"trainer.device={device_setting(session)}", f"features={form}", f"cache.dir={cache}"]
    train(read_experiment(None, [*words, "standardize=false"]), folder / "run", overwrite=True)


def measure_pretraining(session: Session) -> None:
    """Steps a second of TERA at its published size."""
    title = "Pre-training, one step of TERA"
    with session.part(title):
        lengths_s = (15.0, 14.0, 12.0, 10.0, 9.0, 8.0, 6.0, 4.0)
        batches = batches_of(session, lengths_s, 1 if session.quick else 4)
        options = {"width": 48, "num_layers": 1, "num_heads": 4, "ffn_width": 64} if session.quick else {}
        steps, peaks = {}, {}
        for name, (precision, layout) in TERA_STEPS.items():
            held = session.held()
            task: Any = build_objective(PretrainExperiment(upstream="tera", upstream_options=options))
            task.upstream.layout = layout
            config = TrainerConfig(precision=precision, lr=2e-4, device=device_setting(session))  # type: ignore[arg-type]
            fit_statistics(task, lambda start, rank, world: batches, session.device)
            steps[name] = stepping(task, config, batches)
            peaks[name] = session.peak_mib(lambda: (steps[name](), steps[name]()), above=held)  # noqa: B023
        timings = session.time(steps)
        sound_s = sum(batches[0].lengths.tolist()) / RATE_HZ
        rows = [
            [name, spread(t), f"{1 / t.median:.1f}", f"{sound_s / t.median:.0f}", mib(peaks[name])]
            for name, t in timings.items()
        ]
        session.numbers["pretraining"] = {n: {"seconds": t.seconds, "peak_mib": peaks[n]} for n, t in timings.items()}
        losses = [step() for step in steps.values()]
        session.check("the losses of TERA stay finite", max(losses), passed=bool(np.isfinite(losses).all()))
        session.sections[title] = (
            f"The published size (3 blocks of 768), {len(batches[0])} recordings of 4 to 15 s in a batch "
            f"({sound_s:g} s), the alteration included. transformers has no such objective.\n\n"
            + table(["precision", "ms a step", "steps / s", "audio s / s", "peak MiB"], rows)
        )
