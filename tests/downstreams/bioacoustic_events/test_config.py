"""What training rows say of a detector, and rows that say too little."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.events import rows_of, write_field

from audiossl.core.errors import LabelError
from audiossl.data.annotated import Windows
from audiossl.downstreams.bioacoustic_events.config import BioacousticEventsConfig, completed, positive_weights


def test_shares_are_of_time_or_of_rows(tmp_path: Path) -> None:
    calls = write_field(tmp_path, 3)
    windows = list(rows_of(calls, tmp_path, Windows(1.0, 1.0)))
    strong = completed(BioacousticEventsConfig(class_weights=True), windows)
    lasting = [sum(call.end_s - call.start_s for call in calls if call.label == label) for label in ("hi", "lo")]
    assert strong.labels == ["hi", "lo"]
    assert strong.shares == pytest.approx([each / 12 for each in lasting], abs=1e-4)
    assert (strong.row_s, strong.num_rows) == (1.0, 12)
    assert positive_weights(strong).tolist() == pytest.approx([(1 - s) / s for s in strong.shares])
    weak = completed(BioacousticEventsConfig(supervision="weak"), windows)
    assert all((12 * share) % 1 == pytest.approx(0, abs=1e-4) for share in weak.shares)
    assert torch.equal(positive_weights(weak), torch.ones(2))


def test_a_class_without_a_call_is_named(tmp_path: Path) -> None:
    rows = list(rows_of(write_field(tmp_path, 1), tmp_path))
    for supervision in ("strong", "weak"):
        config = BioacousticEventsConfig(supervision=supervision, labels=["lo", "wren"])  # type: ignore[arg-type]
        with pytest.raises(LabelError, match="No training row has a call of 'wren'; add some, or leave the class out"):
            completed(config, rows)
    silent = [cut.drop_supervisions() for cut in rows]
    with pytest.raises(LabelError, match="does not say when its calls are"):
        completed(BioacousticEventsConfig(), silent)
    with pytest.raises(LabelError, match=r"has a call \(with weak labels\), so there is nothing to learn"):
        completed(BioacousticEventsConfig(supervision="weak"), silent)
