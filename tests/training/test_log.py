"""The log of a run, whole or cut off."""

from __future__ import annotations

import math
from pathlib import Path

from audiossl.training.log import RunLog, read_log


def test_a_log_that_a_crash_cut_off_can_be_read_and_continued(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        for step in (1, 2, 3):
            log.write(step, "train", {"loss": float(step), "norm": math.inf})
    with open(tmp_path / "log.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 4, "spl')
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3]
    with RunLog(tmp_path, start_step=2) as log:
        log.write(3, "train", {"loss": 30.0})
    assert [(line["step"], line["loss"]) for line in read_log(tmp_path)] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert read_log(tmp_path)[0]["norm"] is None
