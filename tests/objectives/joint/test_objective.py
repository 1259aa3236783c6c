"""Several objectives on one encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from audiossl import Batch, check_objective, load_objective, load_upstream
from audiossl.core.errors import ConfigError, TrainingError
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.joint.objective import JointObjective

TINY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
DINO = {"outputs": 12, "hidden_width": 8, "bottleneck": 4, "long_s": 0.4, "short_s": 0.2}
TERMS: dict[str, Any] = {
    "distil": {"options": {"teacher": "log_mel", "pairs": [[-1, 0]]}},
    "dino": {"weight": 0.25, "options": DINO},
}


def objective(terms: dict[str, Any]) -> JointObjective:
    torch.manual_seed(0)
    made = load_objective("joint", load_upstream("mel_transformer", weights="random", **TINY), terms=terms)
    assert isinstance(made, JointObjective)
    return made


def test_the_contract_and_the_sum() -> None:
    task = objective(TERMS)
    assert not task.item_wise
    check_objective(task, steps=3)
    task.eval()
    task.fit([batch := Batch(*pad(noise(task.upstream, [0.6, 0.5])))])
    loss, parts = task.loss(batch), {name: term.loss(batch) for name, term in task.objectives.items()}
    torch.testing.assert_close(loss.total, parts["distil"].total + 0.25 * parts["dino"].total)
    assert float(loss.logs["distil_distance"]) == float(parts["distil"].logs["distance"])


def test_the_encoder_is_stored_once_and_terms_by_name() -> None:
    state = objective(TERMS).trainable_state()
    assert "upstream.norm.weight" in state
    assert {"distil.teacher_fingerprint", "distil.heads.0.weight", "dino.centre"} <= state.keys()
    assert not [name for name in state if name.startswith(("distil.upstream.", "dino.upstream."))]


def test_each_term_watches_its_own_figures() -> None:
    task = objective(TERMS)
    figures = {"dino_perplexity": 1.0, "dino_sharpness": 1.0}
    for step in range(1000, 1019):
        task.watch(step, figures)
    with pytest.raises(TrainingError, match="perplexity is 1"):
        task.watch(1019, figures)


def test_two_terms_of_one_kind_have_names_of_their_own() -> None:
    second = {"name": "distil", "options": {"teacher": "tera_mini", "pairs": [[1, 3]]}}
    task = objective({"distil": TERMS["distil"], "voices": second})
    assert [term.teacher.reference for term in task.objectives.values()] == ["log_mel", "tera_mini"]
    assert {"distil.heads.0.weight", "voices.heads.0.weight"} <= task.trainable_state().keys()


def test_faults() -> None:
    with pytest.raises(ConfigError, match="joint has no terms"):
        objective({})
    with pytest.raises(ConfigError, match="no key 'wieght'"):
        objective({"distil": {"wieght": 1.0}})
