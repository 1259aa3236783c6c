"""Which form of cached features changes nothing, and why another would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.data.config import LoaderConfig
from audiossl.experiments.feature_form import FormChoice, choose_form, why_not, why_not_pooled


def task(
    *, frozen: bool = True, linear: bool = True, pooled: bool = True, padding: str = "exact", wavs: bool = False
) -> Any:
    """What a choice asks of a task."""
    return SimpleNamespace(
        upstream_is_frozen=frozen,
        finetuning=SimpleNamespace(mode="none" if frozen else "lora"),
        upstream=SimpleNamespace(config=SimpleNamespace(padding=padding), display_name="a toy"),
        stores_upstream=False,
        frozen_part=None,
        interface=SimpleNamespace(commutes_with_mean=linear),
        commutes_with_mean=pooled,
        reads_waveforms=wavs,
    )


@pytest.mark.parametrize(
    ("made", "data", "room", "form"),
    [
        (task(), {}, ("pooled", "frames"), "pooled"),
        (task(), {}, ("frames",), "off"),
        (task(linear=False), {}, ("pooled", "frames"), "frames"),
        (task(pooled=False), {}, ("pooled", "frames"), "frames"),
        (task(pooled=False), {}, ("pooled",), "off"),
        (task(frozen=False), {}, ("pooled", "frames"), "off"),
        (task(), {"max_crop_s": 1.0}, ("pooled", "frames"), "off"),
        (task(), {"speeds": [0.9, 1.1]}, ("pooled", "frames"), "off"),
    ],
)
def test_auto_takes_the_smallest_form_that_changes_nothing_and_fits(
    made: Any, data: dict[str, Any], room: tuple[str, ...], form: str
) -> None:
    assert choose_form("auto", made, LoaderConfig(**data), lambda asked: asked in room).form == form


def test_rows_are_not_walked_through_where_the_answer_is_known() -> None:
    def fits(form: str) -> bool:
        raise AssertionError("asked")

    assert choose_form("off", task(), LoaderConfig(), fits) == FormChoice("off", "as asked for")
    assert choose_form("frames", task(), LoaderConfig(), fits).form == "frames"
    assert choose_form("auto", task(frozen=False), LoaderConfig(), fits).form == "off"


@pytest.mark.parametrize(
    ("made", "data", "reason"),
    [
        (task(frozen=False), {}, r"finetune\.mode=lora changes the encoder"),
        (task(), {"max_crop_s": 2.0}, r"data\.max_crop_s=2 cuts another part"),
        (task(), {"speeds": [0.9]}, r"data\.speeds=\[0\.9\] plays a recording"),
        (task(), {"augment": [{"name": "Gain"}]}, r"data\.augment \(Gain\) changes the sound of a recording"),
        (task(padding="legacy"), {}, "with legacy padding"),
        (task(wavs=True), {}, "also reads the waveform"),
    ],
)
def test_what_would_change_the_result_is_refused_with_its_reason(made: Any, data: dict[str, Any], reason: str) -> None:
    for form in ("pooled", "frames"):
        with pytest.raises(ConfigError, match=rf"features={form} would change the result: .*{reason}"):
            choose_form(form, made, LoaderConfig(**data), lambda _: True)  # type: ignore[arg-type]


def test_a_mean_is_not_enough_for_every_interface_and_head() -> None:
    assert (why_not(task(), LoaderConfig()), why_not_pooled(task())) == ("", "")
    with pytest.raises(ConfigError, match="features=pooled would change .*is no affine function of the layers"):
        choose_form("pooled", task(linear=False), LoaderConfig(), lambda _: True)
    with pytest.raises(ConfigError, match="needs more than the mean over time"):
        choose_form("pooled", task(pooled=False), LoaderConfig(), lambda _: True)
    assert choose_form("frames", task(linear=False), LoaderConfig(), lambda _: True).form == "frames"
