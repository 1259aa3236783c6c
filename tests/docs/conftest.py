"""One thread: other tests may run beside these."""

import torch

torch.set_num_threads(1)
