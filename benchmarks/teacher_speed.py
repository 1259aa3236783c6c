"""How fast a student is beside its teacher and tera_mini: recordings of several lengths, one at a time.

python -m benchmarks.teacher_speed --teacher hf:FOLDER --write
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from audiossl import Upstream, load_upstream
from benchmarks.common import RATE_HZ, interleaved, parser, publish, table

SECONDS = (1.0, 4.0, 15.0)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--student", default="distil_mini")
    made.add_argument("--teacher", default="hf:openai/whisper-tiny.en")
    arguments = made.parse_args()
    encoders = {
        arguments.student: load_upstream(arguments.student),
        "its teacher": load_upstream(arguments.teacher),
        "tera_mini": load_upstream("tera_mini"),
    }
    rows = []
    for seconds in SECONDS:
        sound = 0.05 * torch.randn(1, round(seconds * RATE_HZ), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            timings = interleaved({name: _run(each, sound) for name, each in encoders.items()}, arguments.rounds)
        slowest = timings["its teacher"].median
        rows += [
            [f"{name}, {seconds:g} s", f"{1000 * each.median:.1f}", f"{slowest / each.median:.1f}"]
            for name, each in timings.items()
        ]
    publish(
        arguments,
        "A student and its teacher",
        f"All hidden states of one recording, from sound in memory. Medians of {arguments.rounds} passes, taking "
        "turns. Whisper's encoder always hears 30 s.",
        table(["encoder, recording", "ms", "times as fast as the teacher"], rows),
    )


def _run(encoder: Upstream, sound: torch.Tensor) -> Callable[[], object]:
    return lambda: encoder(sound)


if __name__ == "__main__":
    main()
