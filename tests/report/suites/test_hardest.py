"""Items that most encoders get wrong."""

from __future__ import annotations

from typing import Any

from audiossl.report.cells import Players
from audiossl.report.runs import Evaluation
from audiossl.report.suites.hardest import hardest_items
from audiossl.report.suites.reading import SuiteResults


def evaluation(said: dict[str, Any], **more: Any) -> Evaluation:
    rows = [{"id": name, "target": "a", "predicted": each, **more} for name, each in said.items()]
    return Evaluation("test", {}, len(rows), [], [], rows, {})


def test_an_item_needs_two_encoders_and_half_of_them() -> None:
    found = hardest_items(
        {
            "one": evaluation({"x": "b", "y": "b", "z": "b", "w": "a"}),
            "two": evaluation({"x": "b", "y": "c", "z": "a", "w": "a"}),
            "three": evaluation({"x": "c", "y": "a", "z": "a", "w": "a"}),
        },
        Players(),
    )
    assert [(item.name, item.num_wrong) for item in found] == [("x", 3), ("y", 2)]
    assert found[0].said == [("b", ["one", "two"]), ("c", ["three"])]
    assert found[0].num_errors is None and found[0].sound is None


def test_errors_among_words_are_counted_over_encoders(found: SuiteResults) -> None:
    named = {name: found.evaluation(found.whole("reading/words", name)[0]) for name in found.upstreams}
    items = hardest_items({name: each for name, each in named.items() if each}, Players())
    counts = [item.num_errors or 0 for item in items]
    assert len(items) == 10 and counts == sorted(counts, reverse=True)
    rows = [each.comparable()[items[0].name] for each in named.values() if each]
    assert counts[0] == sum(row["num_errors"] for row in rows)


def test_sound_is_played_as_long_as_there_is_room(found: SuiteResults) -> None:
    named = {name: found.evaluation(found.whole("acted/emotion", name)[0]) for name in found.upstreams}
    players = Players()
    players.left = 2
    items = hardest_items({name: each for name, each in named.items() if each}, players)
    kinds = [item.sound.kind for item in items if item.sound]
    assert kinds[:3] == ["audio", "audio", "text"]


def test_lists_are_words_and_trials_have_no_items(found: SuiteResults) -> None:
    both = {"one": evaluation({"x": []}), "two": evaluation({"x": ["b", "c"]})}
    assert hardest_items(both, Players())[0].said == [("nothing", ["one"]), ("b, c", ["two"])]
    trials = found.evaluation(found.whole("voices/verification", "spectral")[0])
    assert trials is not None and hardest_items({"a": trials, "b": trials}, Players()) == []
    assert hardest_items({}, Players()) == []
