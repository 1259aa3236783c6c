"""From the sequence to a logit for each frame and speaker: SUPERB's LSTM, or one in both directions."""

from __future__ import annotations

from torch import Tensor, nn

from audiossl.downstreams.asr.heads import Bidirectional


class SpeakerHead(nn.Module):
    """Layer normalisation (or none), LSTM layers, and a linear layer to N logits.

    Padding changes nothing: it comes last for an LSTM in either direction.

    width: of the sequence.
    num_speakers: N.
    hidden: width of an LSTM in one direction.
    num_layers: how many LSTMs there are, one on the other.
    bidirectional: whether each also reads from the end.
    normalize: whether frames are normalised first.
    """

    def __init__(
        self,
        width: int,
        num_speakers: int,
        *,
        hidden: int = 512,
        num_layers: int = 1,
        bidirectional: bool = False,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if normalize else nn.Identity()
        self.layers = nn.ModuleList()
        for _ in range(num_layers):
            self.layers.append(
                Bidirectional(width, hidden) if bidirectional else nn.LSTM(width, hidden, batch_first=True)
            )
            width = hidden * (2 if bidirectional else 1)
        self.output = nn.Linear(width, num_speakers)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, width), (B,) frames -> (B, T, N) logits."""
        x = self.norm(x.to(self.output.weight.dtype))
        for layer in self.layers:
            x = layer(x, lengths) if isinstance(layer, Bidirectional) else layer(x)[0]
        logits: Tensor = self.output(x)
        return logits
