"""Gated feed-forward networks: GLU, ReGLU, GEGLU, SwiGLU and the bilinear one, by their activation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import FFN


class GLUSpec(Spec):
    type: Literal["glu"] = "glu"
    d_ff: int = Field(1365, ge=1, le=1_000_000)
    """Width of the gate and of the gated; 2/3 of an mlp's d_ff gives the mlp's parameter count."""
    activation: Activation = "silu"
    """Function of the gate: sigmoid is GLU, relu ReGLU, gelu GEGLU, silu SwiGLU, identity bilinear."""
    bias: bool = False
    """Whether the three products add a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden value in training."""


@FFN.register("glu", spec=GLUSpec, examples=[{"d_ff": 11}, {"d_ff": 7, "activation": "gelu", "bias": True}])
class GLU(nn.Module):
    """(activation(x W) ⊙ x V) W₂, at each position alike.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", equation 6.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, d_ff: int, activation: Activation, bias: bool, dropout: float
    ) -> None:
        super().__init__()
        self.gate = Linear(d_model, d_ff, bias=bias)
        self.inner = Linear(d_model, d_ff, bias=bias)
        self.outer = Linear(d_ff, d_model, bias=bias)
        self.activation = activation
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        hidden = ACTIVATIONS[self.activation](self.gate(x)) * self.inner(x)  # [B, T, F]
        return self.outer(drop(hidden, self.dropout, training=self.training))
