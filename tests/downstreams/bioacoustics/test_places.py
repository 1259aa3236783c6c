"""Where annotation tables are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lhotse import MonoCut

from audiossl.core.errors import ManifestError, OutputError
from audiossl.downstreams.bioacoustics.places import table_places


def test_tables_lie_where_the_user_said(
    tmp_path: Path, row: Callable[..., MonoCut], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids of a manifest are no paths, and nothing that is there is replaced unless that is asked for."""
    monkeypatch.chdir(tmp_path)
    sound = tmp_path / "rec.wav"
    sound.write_bytes(b"RIFF")
    cuts = [row(name, 8000, path=sound) for name in ("../../x", "/tmp/abs", "b/c")]
    out = Path("out/deep")
    places = [out / name for name in ("x.txt", "tmp/abs.txt", "b/c.txt")]
    assert table_places(out, cuts, ["evil.jsonl"], "raven", False) == places
    assert table_places(Path("one.csv"), cuts[:1], ["rec.wav"], "csv", False) == [Path("one.csv")]
    with pytest.raises(ManifestError, match=r"'x' and '\.\./x' would both be written as x\.csv"):
        table_places(out, [row("x", 8000), row("../x", 8000)], [], "csv", False)
    for inputs in (["rec.wav"], ["manifest.jsonl"]):  # which the row names
        with pytest.raises(OutputError, match=r"^rec\.wav is an input of this command"):
            table_places(Path("rec.wav"), cuts[:1], inputs, "raven", True)
    places[0].parent.mkdir(parents=True)
    places[0].write_text("by hand")
    with pytest.raises(OutputError, match=r"x\.txt is there already; choose another --out, or replace it with --over"):
        table_places(out, cuts, [], "raven", False)
    assert table_places(out, cuts, [], "raven", True) == places
