"""A convolution over positions, with a gate or without."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._window import layers_until_all_meet, with_window
from zoo.costs import TABLE_1, Cost, Mixing, Order, product, trained
from zoo.kernels.cache import StateCache
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size


class ConvolutionSpec(MixerSpec):
    type: Literal["convolution"] = "convolution"
    width: int = Field(3, ge=2, le=1024)
    """Positions that an output is computed from, its own and those around it, in tokens; before it where later ones are
    hidden."""
    gated: bool = True
    """Whether the output is multiplied by the sigmoid of a second convolution."""
    bias: bool = True
    """Whether the convolutions add a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the input, in training."""

    def n_parameters(self, *, d_model: int) -> int:
        return linear_size(self.width * d_model, (1 + self.gated) * d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return batch.n_tokens * d_model * (3 if self.gated else 1)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        n_out = 2 * d_model if self.gated else d_model
        return trained(
            product(batch.n_tokens, self.width * d_model, n_out),
            "4·T·r·D²" if self.gated else "2·T·r·D²",
            cached=(self.width - 1) * d_model if role == "causal" else 0,
            mixing=Mixing(
                Order("k·n·d²", "1", "n/k", TABLE_1),
                n_layers=layers_until_all_meet(self.width, role, batch.length),
            ),
        )


@MIXER.register(
    "convolution",
    spec=ConvolutionSpec,
    examples=[{}, {"width": 4, "gated": False, "bias": False}, {"width": 2, "dropout": 0.2}],
)
class Convolution(nn.Module):
    """(x * W + b) ⊙ σ(x * V + c), or the first factor alone; zeros stand beyond each document.

    Source: Gehring et al. 2017 (1705.03122), section 3.2, the gate from Dauphin et al. 2017; a causal one sees
        positions t - width + 1 to t, another t - width // 2 to t + (width - 1) // 2.
    Differs: no weight normalisation.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, width: int, gated: bool, bias: bool, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.gated = gated
        self.dropout = dropout
        self.kernel = nn.Conv1d(d_model, 2 * d_model if gated else d_model, width, bias=bias)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrix is for: it is the only one."""
        return {self.kernel: "residual_output"}

    def forward(
        self, x: Tensor, *, mask: Mask, position: Position | None, cache: StateCache | None
    ) -> Tensor:
        strips = strips_of(mask, x)
        rows = strips.split(drop(x, self.dropout, training=self.training))  # [N, L, D]
        seen = with_window(rows, self.width, mask=mask, strips=strips, cache=cache)
        out = self.kernel(seen.transpose(1, 2))  # [N, D or 2D, L]
        return strips.join((F.glu(out, dim=1) if self.gated else out).transpose(1, 2))

    def new_cache(self) -> StateCache:
        """The last width - 1 inputs, zeros at first."""
        return StateCache()
