"""What the publisher decides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PushOptions:
    """What only the publisher knows, for the model card and the repository."""

    private: bool = False
    """Whether only its owner may see the repository. False for everybody, or for what an organisation has as its own
    default."""
    licence: str = ""
    """Licence of what is sent, by its name on the hub: apache-2.0, cc-by-4.0, ... Empty for none, and the card says
    so."""
    data: str = ""
    """Name of the data that it was trained on, for the card. Empty where it is not to be said."""
