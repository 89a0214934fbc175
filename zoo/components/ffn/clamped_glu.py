"""A gated network whose values are kept within bounds, and whose gated half has 1 added."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import FFN, Role
from zoo.sizes import Batch, linear_size


class ClampedGLUSpec(Spec):
    type: Literal["clamped_glu"] = "clamped_glu"
    d_ff: int = Field(2048, ge=1, le=1_000_000)
    """Width of the gate and of the gated."""
    limit: float = Field(7.0, gt=0, le=1e6)
    """The gate is at most this, the gated within ± this."""
    slope: float = Field(1.702, gt=0, le=1e3)
    """By what the gate is multiplied within the sigmoid; 1 would be silu's."""
    bias: bool = True
    """Whether the three products add a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden value in training."""

    def n_parameters(self, *, d_model: int) -> int:
        inner = 2 * linear_size(d_model, self.d_ff, bias=self.bias)
        return inner + linear_size(self.d_ff, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        F = self.d_ff
        return batch.n_tokens * (d_model + 7 * F + (F // 4 if self.dropout else 0))

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return trained(3 * product(batch.n_tokens, d_model, self.d_ff), "6·T·D·F")


@FFN.register(
    "clamped_glu",
    spec=ClampedGLUSpec,
    examples=[{"d_ff": 11}, {"d_ff": 7, "limit": 0.5, "slope": 1.0, "bias": False}],
)
class ClampedGLU(nn.Module):
    """(g σ(slope · g) ⊙ (u + 1)) W₂, with g = min(x W, limit) and u = x V within ± limit, at each position alike.

    Source: gpt-oss (OpenAI 2025, 2508.10925), section 2.2, and its code for limit and slope.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, d_ff: int, limit: float, slope: float, bias: bool, dropout: float
    ) -> None:
        super().__init__()
        self.gate = Linear(d_model, d_ff, bias=bias)
        self.inner = Linear(d_model, d_ff, bias=bias)
        self.outer = Linear(d_ff, d_model, bias=bias)
        self.limit, self.slope, self.dropout = limit, slope, dropout

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        return {self.gate: "residual_input", self.inner: "residual_input", self.outer: "residual_output"}

    def forward(self, x: Tensor) -> Tensor:
        gate, gated = self.gate(x).clamp(max=self.limit), self.inner(x).clamp(-self.limit, self.limit)
        hidden = gate * torch.sigmoid(self.slope * gate) * (gated + 1)  # [B, T, F]
        return self.outer(drop(hidden, self.dropout, training=self.training))
