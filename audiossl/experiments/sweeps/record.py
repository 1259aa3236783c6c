"""What a sweep says of itself: sweep.json, with the members, their figures on dev and which of them is the best.

A sweep is an experiment with several learning rates, seeds, interfaces or heads, each combination a run of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.core.files import read_json, write_json
from audiossl.core.typed_json import check_types
from audiossl.encoders.encoder_file import EncoderFile
from audiossl.experiments.folder import RunFolder

State = Literal["waiting", "training", "finished", "stopped", "failed"]


@dataclass
class MemberRecord:
    """What sweep.json says of a member.

    name: of its folder.
    values: what makes it, by axis.
    state: 'stopped' where others were ahead on dev and the budget did not pay for all.
    dev: its best figure, of as far as it was trained.
    step: to which that belongs.
    why: it failed, or was stopped.
    """

    name: str
    values: dict[str, Any]
    state: State = "waiting"
    dev: float | None = None
    step: int | None = None
    why: str = ""

    @property
    def seed(self) -> int | None:
        """The seed that it was trained with, where seeds are swept over."""
        return self.values.get("seed")

    @property
    def subset(self) -> str | None:
        """How much of the training rows it was trained on, where that is swept over."""
        return self.values.get("subset")


@dataclass
class SweepRecord:
    """What sweep.json says.

    metric: by which members are compared.
    mode: 'max' or 'min', which of its values is the best.
    members: in the order in which they are planned.
    """

    metric: str
    mode: str
    members: list[MemberRecord]

    def best(self, seed: int | None = None, subset: str | None = None) -> MemberRecord | None:
        """The finished member with the best figure on dev, of this seed and of this subset if one is given.

        One that was stopped early is never it: its figure is not that of the full schedule. None where none is
        finished.
        """
        ranked = [member for member in self.ranked("finished") if member.dev is not None]
        asked = ((seed, "seed"), (subset, "subset"))
        wanted = [(value, name) for value, name in asked if value is not None]
        fits = (member for member in ranked if all(getattr(member, name) == value for value, name in wanted))
        return next(fits, None)

    def ranked(self, *states: State) -> list[MemberRecord]:
        """Members in these states, the best on dev first, those without a figure last.

        Of equals the first is the one with the smallest learning rate, the least likely to be unstable, then the one
        that is planned first.
        """
        sign = -1 if self.mode == "max" else 1

        def key(member: MemberRecord) -> tuple[bool, float, float]:
            return member.dev is None, sign * (member.dev or 0.0), member.values.get("lr", 0.0)

        return sorted((member for member in self.members if member.state in states), key=key)

    @property
    def chosen(self) -> list[MemberRecord]:
        """The best member of each subset and seed, in their order. The best of all where neither is swept over."""
        searches = dict.fromkeys((member.seed, member.subset) for member in self.members)
        return [best for search in searches if (best := self.best(*search)) is not None]

    @property
    def is_through(self) -> bool:
        """Whether nothing is left to train."""
        return not any(member.state in ("waiting", "training") for member in self.members)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the choice: at an end of the rates, between equals, or not among all."""
        stopped = [member for member in self.members if member.state == "stopped"]
        if not stopped:
            return self._notes_on_rates
        note = (
            f"{len(stopped)} of {len(self.members)} members were behind on dev and stopped early, by the budget: their "
            f"figures are of a part of the training, and only a member that was trained to the end can be chosen."
        )
        return [*self._notes_on_rates, note]

    @property
    def _notes_on_rates(self) -> list[str]:
        rates = sorted({member.values["lr"] for member in self.members if "lr" in member.values})
        best = self.best()
        if best is None or len(rates) < 2:
            return []
        found = []
        rate = best.values["lr"]
        if rate in (rates[0], rates[-1]):
            end = "smallest" if rate == rates[0] else "largest"
            found.append(f"The chosen rate {rate:g} is the {end} of those tried: a better one may lie beyond it.")
        finished = [member for member in self.members if member.state == "finished"]
        equal = [member for member in finished if member.dev == best.dev and member.values.get("lr") != rate]
        if equal:
            others = ", ".join(f"{member.values['lr']:g}" for member in equal)
            found.append(f"The rates {rate:g} and {others} are equal on dev: the smallest is taken.")
        return found

    def as_json(self) -> dict[str, Any]:
        """What sweep.json holds."""
        best = self.best()
        return {
            "metric": self.metric,
            "mode": self.mode,
            "best": best.name if best else None,
            "best_of_seed": self._best_of("seed"),
            "best_of_subset": self._best_of("subset"),
            "members": [dataclasses.asdict(member) for member in self.members],
        }

    def _best_of(self, axis: str) -> dict[str, str]:
        """The name of the best member of each seed or subset, where there are several."""
        values = dict.fromkeys(getattr(member, axis) for member in self.members)
        found = {value: self.best(**{axis: value}) for value in values if value is not None}
        return {str(value): member.name for value, member in found.items() if member is not None}

    def write(self, folder: Path) -> None:
        """Write sweep.json, and which member's encoder is that of the sweep."""
        write_json(RunFolder(folder).sweep_path, self.as_json())
        self._encoder.write(folder)

    def add_encoder(self, folder: Path) -> None:
        """Say which member's encoder is that of the sweep, where an earlier version did not."""
        RunFolder(folder).add_encoder(self._encoder)

    @property
    def _encoder(self) -> EncoderFile:
        """That of the best member, or nothing as long as none is finished."""
        best = self.best()
        return EncoderFile(runs=[best.name] if best else [])


def is_sweep(folder: Path) -> bool:
    """Whether `audiossl train` wrote a sweep there."""
    return RunFolder(folder).sweep_path.is_file()


def read_sweep(folder: Path) -> SweepRecord:
    """What `SweepRecord.write` wrote. Raises AudiosslError for a folder that has no sweep.json, or a damaged one."""
    path = RunFolder(folder).sweep_path
    if not path.is_file():
        raise AudiosslError(f"{folder} is not a sweep (it has no {path.name}); give what `audiossl train` wrote.")
    try:
        stored = read_json(path)
        check_types(stored, get_type_hints(SweepRecord) | {"members": list[dict[str, Any]]}, path, "mend it")
        for member in stored["members"]:
            check_types(member, get_type_hints(MemberRecord), path, "mend it")
        return SweepRecord(stored["metric"], stored["mode"], [MemberRecord(**member) for member in stored["members"]])
    except (AudiosslError, KeyError, TypeError) as error:
        raise AudiosslError(f"{path} cannot be read; train again with --overwrite.") from error


def best_member(folder: Path) -> Path:
    """The run folder of the member that is best on dev. Raises TrainingError where none is finished."""
    best = read_sweep(folder).best()
    if best is None:
        raise _unfinished(folder)
    return RunFolder(folder).member(best.name).path


def runs_of(folder: Path) -> list[Path]:
    """What stands for a folder that `audiossl train` wrote: of a sweep the best run of each seed, else itself.

    Raises TrainingError for a sweep of which no member is finished.
    """
    if not is_sweep(folder):
        return [Path(folder)]
    chosen = read_sweep(folder).chosen
    if not chosen:
        raise _unfinished(folder)
    return [RunFolder(folder).member(member.name).path for member in chosen]


def _unfinished(folder: Path) -> TrainingError:
    return TrainingError(f"No member of the sweep {folder} is finished; go on with `audiossl train --resume {folder}`.")
