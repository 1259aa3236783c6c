"""Instance norm over valid frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from audiossl.nn.instance_norm import normalize_over_time
from audiossl.nn.masking import valid_frames


def test_it_is_torchs_on_each_item_alone_whatever_the_padding_holds() -> None:
    torch.manual_seed(0)
    x, lengths = 3 + 2 * torch.randn(2, 9, 4), torch.tensor([9, 5])
    x[1, 5:] = torch.inf
    made = normalize_over_time(x, valid_frames(lengths, 9))
    for item, count in enumerate(lengths.tolist()):
        alone = F.instance_norm(x[item : item + 1, :count].transpose(1, 2)).transpose(1, 2)[0]
        torch.testing.assert_close(made[item, :count], alone, rtol=1e-4, atol=1e-5)
    assert bool((made[1, 5:] == 0).all())
