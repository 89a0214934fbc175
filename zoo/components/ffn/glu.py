"""Gated feed-forward networks: GLU, ReGLU, GEGLU, SwiGLU and the bilinear one, by their activation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import FFN, Role
from zoo.sizes import Batch, linear_size


class GLUSpec(Spec):
    type: Literal["glu"] = "glu"
    d_ff: int | None = Field(None, ge=1, le=1_000_000)
    """Width of the gate and of the gated; None: 2/3 of 4·d_model, which has the parameters of an mlp of 4·d_model."""
    multiple_of: int = Field(1, ge=1, le=65536)
    """Where d_ff is None: the width is rounded up to a multiple of this; 256 is LLaMA's."""
    activation: Activation = "silu"
    """Function of the gate: sigmoid is GLU, relu ReGLU, gelu GEGLU, silu SwiGLU, identity bilinear."""
    bias: bool = False
    """Whether the three products add a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden value in training."""

    def check(self, *, d_model: int) -> None:
        if self.d_ff is not None and self.multiple_of != 1:
            raise ValueError(
                f"multiple_of ({self.multiple_of}) rounds the width that d_model gives, but d_ff is given "
                f"({self.d_ff}); leave one of them out"
            )

    def width(self, d_model: int) -> int:
        """F."""
        return _two_thirds(4 * d_model, self.multiple_of) if self.d_ff is None else self.d_ff

    def n_parameters(self, *, d_model: int) -> int:
        F = self.width(d_model)
        return 2 * linear_size(d_model, F, bias=self.bias) + linear_size(F, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        F = self.width(d_model)
        return batch.n_tokens * (d_model + 4 * F + (F // 4 if self.dropout else 0))

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return trained(3 * product(batch.n_tokens, d_model, self.width(d_model)), "6·T·D·F")


@FFN.register(
    "glu",
    spec=GLUSpec,
    examples=[{"d_ff": 11}, {"d_ff": 7, "activation": "gelu", "bias": True}, {}, {"multiple_of": 5}],
)
class GLU(nn.Module):
    """(activation(x W) ⊙ x V) W₂, at each position alike.

    Source: Shazeer 2020, "GLU Variants Improve Transformer", equation 6, and section 2 for the 2/3 of the width;
        its rounding is that of LLaMA's code.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        d_ff: int | None,
        multiple_of: int,
        activation: Activation,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        F = _two_thirds(4 * d_model, multiple_of) if d_ff is None else d_ff
        self.gate = Linear(d_model, F, bias=bias)
        self.inner = Linear(d_model, F, bias=bias)
        self.outer = Linear(F, d_model, bias=bias)
        self.activation = activation
        self.dropout = dropout

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        return {self.gate: "residual_input", self.inner: "residual_input", self.outer: "residual_output"}

    def forward(self, x: Tensor) -> Tensor:
        hidden = ACTIVATIONS[self.activation](self.gate(x)) * self.inner(x)  # [B, T, F]
        return self.outer(drop(hidden, self.dropout, training=self.training))


def _two_thirds(width: int, multiple_of: int) -> int:
    """2/3 of the width, down to an integer, then up to the multiple."""
    return -(-(2 * width // 3) // multiple_of) * multiple_of
