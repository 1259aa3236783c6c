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
from pathlib import Path

import torch

from benchmarks.common import RESULTS, without_paths
from benchmarks.session import Session

STARTED = time.monotonic()
PARTS = ["checks", "forward", "fine-tuning", "pretraining", "heads", "large"]


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
        rounds=arguments.rounds,
        command=command,
        note=arguments.note,
        started=STARTED,
    )
    session.say(f"imported; {torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'}")
    actions: Mapping[str, Callable[[Session], None]] = {}
    with session.part("Imports"):
        hush_transformers()
        actions = measured()
    for name, action in actions.items():
        if name in arguments.only:
            with session.part(f"All of {name}"):
                action(session)
    page = session.write()
    if arguments.write:
        shutil.copyfile(page, RESULTS / "gpu.md")
    print(page.read_text(encoding="utf-8"), flush=True)
    session.say("done")
    return session


def measured() -> Mapping[str, Callable[[Session], None]]:
    """The parts, in the order in which they run. Imported here, so that the first line comes at once."""
    from benchmarks.gpu_checks import measure_checks
    from benchmarks.gpu_forward import measure_forward, measure_large
    from benchmarks.gpu_training import measure_fine_tuning, measure_heads, measure_pretraining

    return {
        "checks": measure_checks,
        "forward": measure_forward,
        "fine-tuning": measure_fine_tuning,
        "pretraining": measure_pretraining,
        "heads": measure_heads,
        "large": measure_large,
    }


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
    made.add_argument("--budget-s", type=float, default=330.0, help="seconds after which parts are left out")
    made.add_argument("--rounds", type=int, default=10)
    made.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, help="some of the parts")
    made.add_argument("--note", default="", help="what else the reader must know about the machine")
    made.add_argument("--write", action="store_true", help="also write the page into benchmarks/results")
    return made


if __name__ == "__main__":
    main()
