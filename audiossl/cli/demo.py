"""`audiossl demo`: a page on this machine to try a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def demo(
    run: Annotated[Path, typer.Argument(help="What `audiossl train` wrote.")],
    overrides: Annotated[Optional[list[str]], typer.Argument(help="data.* settings.", show_default=False)] = None,  # noqa: UP045
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 for a free one.")] = 8765,
    max_mb: Annotated[int, typer.Option(min=1, help="Most megabytes of a recording.")] = 100,
    items: Annotated[int, typer.Option(min=0, help="Training items to find the nearest among; 0 for none.")] = 500,
    checkpoint: Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")] = "",
) -> None:
    """Open a page on this machine: record or choose a sound file and see what the run predicts."""
    from audiossl.demo.server import DemoServer
    from audiossl.demo.session import Demo
    from audiossl.experiments.loading import load_run

    made = Demo(load_run(run, checkpoint, overrides=overrides or []), items, max_mb)
    with DemoServer(made, port) as server:
        print(f"Open {server.url} in a browser of this machine; Ctrl-C ends it.", flush=True)
        made.neighbours.start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            made.end()
            print("Ended.")
