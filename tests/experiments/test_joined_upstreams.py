"""Several upstreams in one experiment, from the command line to predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from audiossl import load_run, load_upstream
from audiossl.core.files import read_jsonl
from audiossl.encoders.joined import JoinedUpstream
from audiossl.experiments.config import default_out, read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.members import members_of

Make = Callable[..., Any]


def test_the_folder_and_the_name_say_which() -> None:
    config = read_experiment(None, ["upstream=[tera_mini,log_mel]", "sweep.interface=[layer,[layer,weighted_sum]]"])
    assert config.upstream == "tera_mini + log_mel"
    assert default_out(None, config).name == "tera_mini+log_mel-weighted_sum-sweep-interface"
    assert [member.name for member in members_of(config)] == ["layer", "layer+weighted_sum"]


def test_a_run_trains_predicts_and_is_an_encoder_again(experiment: Make, toy_upstream: str, tmp_path: Path) -> None:
    settings = [f"upstream=[{toy_upstream},log_mel]", "interface=[layer,layer]", "interface_options.1.index=0"]
    out = train(experiment(*settings, "finetune=all", f"finetune.members=[{toy_upstream}]"), tmp_path / "run")
    run = load_run(out)
    run.evaluate("test")
    rows = read_jsonl(out / "test" / "predictions.jsonl")
    assert len(rows) == 12
    # Only the first layer of the toy is read, so that its others were never run and have not trained.
    upstream, before = load_upstream(str(out)), load_upstream(toy_upstream)
    assert isinstance(upstream, JoinedUpstream)
    assert upstream.depths == [None, None]
    changed = [
        not torch.equal(now, then)
        for now, then in zip(upstream.parts[0].parameters(), before.parameters(), strict=True)
    ]
    assert any(changed[:2])
    wav = torch.randn(1, 8000)
    assert [layer.shape[1] for layer in upstream(wav).layers] == [upstream.num_frames(8000)] * upstream.num_layers


def test_the_cache_changes_nothing(experiment: Make, tmp_path: Path) -> None:
    """Also where frames are aligned, and with an encoder that is joined with itself."""
    for number, (names, kept) in enumerate((("[log_mel,fbank]", "frames"), ("[log_mel,log_mel]", "auto"))):
        settings = [f"upstream={names}", "cache.dtype=fp32", f"cache.dir={tmp_path / 'cache'}", "trainer.steps=10"]
        scores = []
        for form in ("off", kept):
            out = train(experiment(*settings, f"features={form}"), tmp_path / f"{number}-{form}")
            load_run(out).evaluate("test")
            rows = read_jsonl(out / "test" / "predictions.jsonl")
            scores.append(torch.tensor([row["logits"] for row in rows]))
        torch.testing.assert_close(scores[1], scores[0], rtol=1e-3, atol=1e-3)
