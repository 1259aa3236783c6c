"""Encoders that read rows stand wherever rows are given, and refuse sound alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.rows import rows_that_say

from audiossl import CacheConfig, load_upstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.data.loader import collate
from audiossl.encoders.encoding import encode_batch
from audiossl.encoders.engines.running import with_engine
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.long_audio import longest_whole_s
from audiossl.encoders.row_upstream import RowUpstream, check_fields
from audiossl.features.access import open_states


class Lengths(RowUpstream):
    """How many letters a row has in a field, and their square as a second layer."""

    def __init__(self, field: str = "text") -> None:
        super().__init__()
        self.reads, self.widths, self.calls = (field,), (1, 1), 0

    def encode_rows(self, cuts: Sequence[Any], last: int) -> Sequence[torch.Tensor]:
        self.calls += 1
        counts = torch.tensor([[[float(len(self.said(cut, *self.reads)))]] for cut in cuts])
        return [counts, counts.square()][: last + 1]


SAID = [{"transcript": "yes"}, {"transcript": "never"}, {"transcript": "no"}]


def test_a_batch_has_a_frame_for_each_row(tmp_path: Path) -> None:
    batch = collate(list(rows_that_say(tmp_path, SAID)), 16000)
    features = encode_batch(Lengths(), batch, device="cpu")
    assert features.layers[0][:, 0, 0].tolist() == [3, 5, 2]
    assert features.layers[1][:, 0, 0].tolist() == [9, 25, 4]
    assert features.lengths.tolist() == [1, 1, 1]
    assert len(encode_batch(Lengths(), batch, up_to_layer=0, device="cpu").layers) == 1
    assert Lengths().one_frame


@pytest.mark.parametrize("join", ["frames", "pooled"])
def test_joined_with_an_encoder_of_sound_and_read_from_the_cache(join: str, tmp_path: Path) -> None:
    cuts = list(rows_that_say(tmp_path / "rows", SAID))
    words = Lengths()
    joined = JoinedUpstream([load_upstream("log_mel"), words], join).eval()
    assert list(joined.reads) == ["text"]
    batch = collate(cuts, 16000)
    alone, made = load_upstream("log_mel")(batch.wavs, batch.lengths), joined.of_batch(batch)
    for item in range(3):
        frames = made.item(item)
        sound = alone.item(item)[0]
        torch.testing.assert_close(frames[0], sound if join == "frames" else sound.mean(0, keepdim=True))
        assert set(frames[1][:, 0].tolist()) == {[3.0, 5.0, 2.0][item]}
    source = open_states(joined, "", CacheConfig(dir=str(tmp_path / "kept")), "frames", layers=range(3), device="cpu")
    stored = source.batch(cuts)
    calls = words.calls
    assert stored.features is not None and source.batch(cuts).features is not None
    assert words.calls == calls
    for one, other in zip(made.item(1), stored.features.item(1), strict=True):
        torch.testing.assert_close(one, other.float(), atol=1e-2, rtol=1e-2)  # kept in half precision
    source.close()


def test_what_is_cached_of_a_row_is_of_its_words(tmp_path: Path) -> None:
    """The same sound with another text is not read as the first."""
    first = list(rows_that_say(tmp_path / "rows", SAID))
    source = open_states(Lengths(), "", CacheConfig(dir=str(tmp_path / "kept")), "frames", layers=[0], device="cpu")
    assert source.batch(first).features.layers[0][:, 0, 0].tolist() == [3, 5, 2]  # type: ignore[union-attr]
    for cut in first:
        cut.supervisions[0].text += "!"
    assert source.batch(first).features.layers[0][:, 0, 0].tolist() == [4, 6, 3]  # type: ignore[union-attr]
    source.close()


def test_sound_alone_is_refused() -> None:
    wavs, lengths = torch.zeros(1, 800), torch.tensor([800])
    for made in (Lengths(), JoinedUpstream([load_upstream("log_mel"), Lengths()])):
        with pytest.raises(ConfigError, match="reads the field 'text' of manifest rows, which sound alone"):
            made(wavs, lengths)
        with pytest.raises(ConfigError, match="reads the field 'text' of manifest rows, which sound alone"):
            made.of_batch(Batch(wavs, lengths))
    with pytest.raises(ConfigError, match="reads manifest rows, which no engine knows"):
        with_engine(Lengths(), "compile", "fp32")


def test_a_row_that_says_nothing_is_named(tmp_path: Path) -> None:
    cuts = list(rows_that_say(tmp_path, [*SAID, {"transcript": ""}]))
    words = r"Row '3' has nothing in the field 'text' \(the column transcript of a table\), which Lengths reads; fill"
    with pytest.raises(LabelError, match=words):
        check_fields(Lengths(), cuts)
    with pytest.raises(LabelError, match=words):
        encode_batch(Lengths(), collate(cuts, 16000), device="cpu")
    check_fields(load_upstream("log_mel"), cuts)


def test_no_recording_is_too_long() -> None:
    assert longest_whole_s(Lengths()) == float("inf")
