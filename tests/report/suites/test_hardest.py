"""The items that most encoders get wrong come first."""

from __future__ import annotations

from audiossl.report.cells import Players
from audiossl.report.suites.hardest import hardest_items
from audiossl.report.suites.reading import SuiteResults


def test_items_are_wrong_for_at_least_one_encoder_and_the_hardest_first(found: SuiteResults) -> None:
    task = next(iter(found.tasks))
    evaluations = {}
    for name in found.upstreams:
        for cell in found.whole(task, name)[:1]:
            evaluation = found.evaluation(cell)
            assert evaluation is not None
            evaluations[name] = evaluation
    items = hardest_items(evaluations, Players())
    assert items
    wrong = {
        row["id"]: sum(each.comparable()[row["id"]]["predicted"] != row["target"] for each in evaluations.values())
        for row in next(iter(evaluations.values())).comparable().values()
    }
    counts = [next(count for name, count in wrong.items() if name in str(item)) for item in items]
    assert min(counts) > 0
    assert counts == sorted(counts, reverse=True)
