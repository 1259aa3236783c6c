"""`audiossl factors`, from recordings to vectors and probes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_fit_apply_and_probe(audiossl: Run, corpus: Path, tmp_path: Path) -> None:
    train, factors, encoder = corpus / "train.jsonl.gz", tmp_path / "factors", ("mfcc", "-o", "cmvn=false")
    fit = ("factors", "fit", *encoder, train, "--clusters", "5", "--rank", "3", "--iterations", "3", "--out", factors)
    done = audiossl(*fit)
    assert done.code == 0, done.err
    assert "3 factors of layer 0 of mfcc, 5 units, from" in done.out
    assert "choose another --out, or replace them with --overwrite" in audiossl(*fit).err
    out = tmp_path / "dev.csv"
    told = json.loads(audiossl("factors", "apply", factors, corpus / "dev.jsonl.gz", "--out", out, "--json").out)
    assert (told["rows"], told["rank"]) == (9, 3)
    assert out.read_text().splitlines()[0] == "id,file,start_time,end_time,0,1,2"
    probe = ("probe", *encoder, "--data", corpus, "--probes", "knn", "--out", tmp_path / "probe")
    done = audiossl(*probe, "--pooling", "factors", "--factors", factors, "--json")
    assert done.code == 0, done.err
    facts = json.loads(done.out)
    assert facts["pooling"] == "factors" and facts["results"][0]["layer"] == 0
    assert "go together; give both or neither" in audiossl(*probe, "--pooling", "factors").err
    assert "choose of kl and simclr" in audiossl(*probe, "--gradients", "dino").err
    assert "needs an encoder with a block for each layer" in audiossl(*probe, "--gradients", "kl").err
