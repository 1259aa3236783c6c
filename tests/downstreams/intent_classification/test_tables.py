"""Which intents were taken for which."""

from __future__ import annotations

from audiossl.downstreams.intent_classification.tables import confused_table


def test_the_most_frequent_confusion_is_first() -> None:
    def row(true: str, said: str) -> dict[str, dict[str, str]]:
        return {"target": {"a": true, "b": "x"}, "predicted": {"a": said, "b": "x"}}

    rows = [row("on", "on"), row("off", "on"), row("on", "off"), row("on", "off")]
    (table,) = confused_table(rows, ["a", "b"])
    assert table.rows == [["on | x", "off | x", 2], ["off | x", "on | x", 1]]
    assert confused_table(rows[:1], ["a", "b"]) == []
