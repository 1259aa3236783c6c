"""Cards of published encoders of the family: their notes follow from what is known, and they cost no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audiossl.encoders.waveform.cards import Shape, published_waveform_card

SHAPE = Shape(95_000_000, "layer_norm", {"width": 768})


def card(weights: str = "hf:someone/encoder", shape: Shape = SHAPE, **more: object) -> object:
    return published_waveform_card("name", "summary", weights, shape, target="module:Class", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("preprocessor", "sentence"),
    [
        (True, "Hugging Face's preprocessor normalises them"),
        (False, "leaves them as they are, too"),
        (None, "does what the repository's preprocessor says"),
    ],
)
def test_notes_say_who_normalises(preprocessor: bool | None, sentence: str) -> None:
    notes = card(preprocessor=preprocessor).notes  # type: ignore[attr-defined]
    assert notes.startswith("Trained on normalised waveforms.")
    assert sentence in notes
    elsewhere = card("https://example.org/encoder.pt", preprocessor=preprocessor).notes  # type: ignore[attr-defined]
    assert "Hugging Face" not in elsewhere


def test_options_say_how_to_normalise_only_where_that_is_known() -> None:
    assert card().options == {"width": 768, "normalize": "layer_norm"}  # type: ignore[attr-defined]
    assert card(shape=Shape(1, "", {"width": 768})).options == {"width": 768}  # type: ignore[attr-defined]


def test_facts_become_fields_and_notes_come_last() -> None:
    made = card(also="there.", notes="Beware.", licence="MIT")
    assert made.licence == "MIT"  # type: ignore[attr-defined]
    assert made.num_parameters == 95_000_000  # type: ignore[attr-defined]
    assert made.notes.endswith("Also there. Beware.")  # type: ignore[attr-defined]


def test_the_module_loads_no_torch() -> None:
    code = "import sys, audiossl.encoders.waveform.cards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
