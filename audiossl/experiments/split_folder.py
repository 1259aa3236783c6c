"""What an evaluation leaves in the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class SplitFolder(NamedTuple):
    """What an evaluation wrote: RUN/<split>/."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def predictions(self) -> Path:
        """One row a line, as the task assembled them."""
        return self.path / "predictions.jsonl"

    @property
    def metrics(self) -> Path:
        """Metrics with intervals, and what the evaluation was of."""
        return self.path / "metrics.json"

    @property
    def told(self) -> Path:
        """What a fresh probe told of training items, one row a line, where there is an adversary's column."""
        return self.path / "adversary.jsonl"
