"""Bad manifests, tables, configurations, run folders, weights, sound and options, by hypothesis.

Each ends with exit code 0, or 2 and one line. Never is there a traceback, nor a file outside --out. What is damaged and
how it is judged is in `benchmarks.hostile_inputs`, whose counts are in docs/reliability.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.damage import VALUES, bad_bytes, bad_json
from benchmarks.hostile_inputs import COMMANDS, Command, World, judged, make_world, one_case

FORMS = [(name, form) for name, forms in COMMANDS.items() for form in forms]
NEEDS_TRAINING = {"train", "train --resume", "pretrain", "probe"}
QUICK = [(name, form) for name, form in FORMS if name not in NEEDS_TRAINING]


class Drawn:
    """Choices that hypothesis makes, so that it finds the smallest damage that is not borne."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def choice(self, among: Sequence[Any], /) -> Any:
        return among[self.randrange(len(among))]

    def randrange(self, below: int, /) -> int:
        return self.data.draw(st.integers(0, below - 1))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("hostile") / "world")


def check(world: World, command: Command, data: st.DataObject) -> None:
    words, outcome = one_case(world, command, Drawn(data))
    assert outcome.good, f"audiossl {' '.join(words)}: {outcome.kind}: {outcome.said}"


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=False)
@given(data=st.data())
def test_some_bad_inputs(world: World, data: st.DataObject) -> None:
    name, form = data.draw(st.sampled_from(QUICK), label="command")
    del name
    check(world, form, data)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), FORMS, ids=[f"{name}-{index}" for index, (name, _) in enumerate(FORMS)])
def test_many_bad_inputs(world: World, name: str, form: Command) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def holds(data: st.DataObject) -> None:
        check(world, form, data)

    del name
    holds()


def test_what_is_judged_bad() -> None:
    assert judged(0, "").kind == "done"
    assert judged(2, "a warning\nerror: x.csv is empty.\n").kind == "refused"
    assert judged(2, "Usage: audiossl\n").kind == "words"
    assert judged(2, "error: a\nerror: b\n").kind == "words"
    assert judged(0, "", "\x1b[31mred").kind == "words"
    assert judged(2, "Traceback (most recent call last):").kind == "traceback"
    assert judged(3, "error: x").kind == "code"


def test_what_a_command_writes_elsewhere_is_found(world: World, tmp_path: Path) -> None:
    del tmp_path
    elsewhere = Command(("data", "split", "{root}/manifests/train.jsonl.gz", "--out", "{root}/elsewhere"))
    _, outcome = one_case(world, elsewhere, None)
    assert (outcome.kind, "elsewhere" in outcome.said) == ("touched", True)


def test_damage_changes_one_thing() -> None:
    document = {"id": "a", "start": 0.0, "supervisions": [{"text": "x"}]}

    class Turn:
        """Every choice in turn."""

        def __init__(self, start: int) -> None:
            self.numbers = itertools.count(start)

        def choice(self, among: Sequence[Any], /) -> Any:
            return among[next(self.numbers) % len(among)]

        def randrange(self, below: int, /) -> int:
            return next(self.numbers) % below

    made = [bad_json(document, Turn(start)) for start in range(40)]
    assert document == {"id": "a", "start": 0.0, "supervisions": [{"text": "x"}]}
    assert sum(each != document for each in made) > 35
    assert len(VALUES) > 20
    assert {len(bad_bytes(b"0123456789", Turn(start))) for start in range(40)} >= {0, 10, 20}
