"""The short convolution that recurrent mixers put before their state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShortConvolution(nn.Module):
    """Each channel with its last few values, SiLU after it: y_t = silu(Σ_i w_i x_{t-k+1+i} + b).

    Its weight starts uniform within ±1/√k, as torch.nn.Conv1d's, and a model's initialisation leaves it so: one drawn
    as narrow as matrices are would hide the tokens from the state.
    Shapes: x [N, L, C], state [N, k - 1, C] -> [N, L, C] and the last k - 1 inputs.
    """

    def __init__(self, n_channels: int, kernel_size: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_channels, 1, kernel_size))
        self.bias = nn.Parameter(torch.empty(n_channels)) if bias else None
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        bound = self.weight.shape[-1] ** -0.5
        for values in (self.weight, self.bias):
            if values is not None:
                nn.init.uniform_(values, -bound, bound)

    def new_state(self, n: int) -> Tensor:
        """The inputs before the first token: zeros."""
        n_channels, _, size = self.weight.shape
        return self.weight.new_zeros(n, size - 1, n_channels)

    def forward(
        self, x: Tensor, state: Tensor | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """With a state, which the inputs before x are, also what they are after the valid places of x, bool [N, L]."""
        (n_channels, _, size), L = self.weight.shape, x.shape[1]
        whole = F.pad(x, (0, 0, size - 1, 0)) if state is None else torch.cat([state.to(x.dtype), x], dim=1)
        out = F.conv1d(whole.transpose(1, 2), self.weight, self.bias, groups=n_channels).transpose(1, 2)
        if state is None:
            return F.silu(out), None
        if valid is None:
            return F.silu(out), whole[:, L:].clone()  # of the last inputs only, not a view of all
        places = valid.sum(dim=1, keepdim=True) + torch.arange(size - 1, device=x.device)  # [N, k - 1]
        return F.silu(out), whole.gather(1, places[..., None].expand(-1, -1, n_channels))
