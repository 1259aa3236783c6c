"""How a figure is written: shares in percent, everything else as it is."""

from __future__ import annotations

import pytest

from audiossl.core.types import Metric
from audiossl.metrics.formatting import PERCENT, interval_written, intervals_note, scaled, with_unit, written


@pytest.mark.parametrize("name", PERCENT)
def test_a_share_is_a_percentage_in_title_and_figure_alike(name: str) -> None:
    assert with_unit(name) == f"{name} (%)"
    assert scaled(name, 0.25) == 25.0
    assert written(name, 0.12345) == "12.3"


def test_other_figures_have_four_significant_digits() -> None:
    assert with_unit("cllr") == "cllr"
    assert [written("cllr", value) for value in (0.123456, 1234.56, 0.00001)] == ["0.1235", "1235", "1e-05"]


def test_what_is_not_known_is_not_written() -> None:
    assert written("uar", None) == ""
    assert interval_written("uar", Metric(0.5)) == ""
    assert interval_written("uar", Metric(0.5, None, 0.6)) == ""
    assert interval_written("uar", Metric(0.5, 0.4, 0.6)) == "[40.0, 60.0]"


def test_the_note_names_clusters_and_what_is_special_about_them() -> None:
    over = Metric(0.5, 0.4, 0.6, 10, "speaker")
    assert intervals_note({"uar": over}) == "95 % intervals over 10 speakers."
    assert intervals_note({"uar": Metric(0.5)}) == ""  # nobody asked for one
    none = Metric(0.5, None, None, 2, "speaker", "no interval: 2 speakers are too few")
    assert intervals_note({"uar": over._replace(num_clusters=2), "wer": none}) == (
        "95 % intervals over 2 speakers, which is too few to tell much. wer: no interval: 2 speakers are too few."
    )
    assert intervals_note({"wer": none}) == "No interval: 2 speakers are too few."
    remark = "1 of 9 items has no speaker, the first is 'r4': such items count as one speaker"
    noted = {name: over._replace(remark=remark) for name in ("uar", "f1")}
    assert intervals_note(noted) == f"95 % intervals over 10 speakers. {remark}."
