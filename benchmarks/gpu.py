"""What the toolkit does on a GPU: checks, the forward pass, fine-tuning, heads and pre-training, on one page.

bash benchmarks/gpu.sh --out DIR

It ends within the budget of seconds: what there is no time for is left out. Nothing that fails ends it. The page is
written anew after every part, with the raw numbers beside it (gpu.json).
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.common import RESULTS, without_paths
from benchmarks.session import Session

STARTED = time.monotonic()
# In the order in which they run.
PARTS = {
    "checks": "gpu_checks.measure_checks",
    "varlen": "gpu_varlen.measure_varlen",
    "forward": "gpu_forward.measure_forward",
    "fine-tuning": "gpu_training.measure_fine_tuning",
    "pretraining": "gpu_training.measure_pretraining",
    "wav2vec2": "pretraining.measure_wav2vec2",
    "heads": "gpu_training.measure_heads",
    "large": "gpu_forward.measure_large",
}


def main(words: Sequence[str] | None = None) -> Session:
    arguments = _parser().parse_args(words)
    if arguments.rounds < 2:
        sys.exit("error: --rounds must be at least 2, for a spread.")
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch finds no CUDA device here; give --device cpu --quick for a try without one.")
    warnings.filterwarnings("ignore")
    typed = without_paths(sys.argv[1:] if words is None else words)
    command = shlex.join(["bash", "benchmarks/gpu.sh", "--out", "DIR", *typed])
    session = Session(
        device,
        arguments.out,
        budget_s=arguments.budget_s,
        quick=arguments.quick,
        short=arguments.short,
        rounds=arguments.rounds,
        command=command,
        note=arguments.note,
        started=STARTED,
    )
    session.say(f"imported; {torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'}")
    actions: Mapping[str, Callable[[Session], None]] = {}
    with session.part("Imports"):
        hush_transformers()
        actions = measured(arguments.only)
    for name, action in actions.items():
        with session.part(f"All of {name}"):
            action(session)
    page = session.write()
    if arguments.write:
        shutil.copyfile(page, RESULTS / "gpu.md")
    print(page.read_text(encoding="utf-8"), flush=True)
    session.say("done")
    return session


def measured(only: Sequence[str]) -> Mapping[str, Callable[[Session], None]]:
    """Those parts, in their order. Imported here, so that the first line comes at once, and only what is needed."""
    places = {name: place.split(".") for name, place in PARTS.items() if name in only}
    return {name: getattr(import_module(f"benchmarks.{place[0]}"), place[1]) for name, place in places.items()}


def hush_transformers() -> None:
    """Neither bars nor warnings, among which the lines with the seconds would be lost."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--out", type=Path, required=True, help="folder of the page and of the raw numbers")
    made.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu")
    made.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    made.add_argument("--short", action="store_true", help="bf16 alone, of transformers SDPA alone, fewer styles")
    made.add_argument("--budget-s", type=float, default=330.0, help="seconds after which parts are left out")
    made.add_argument("--rounds", type=int, default=10)
    made.add_argument("--only", nargs="+", default=list(PARTS), choices=list(PARTS), help="some of the parts")
    made.add_argument("--note", default="", help="what else the reader must know about the machine")
    made.add_argument("--write", action="store_true", help="also write the page into benchmarks/results")
    return made


if __name__ == "__main__":
    main()
