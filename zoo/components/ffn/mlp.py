"""The paper's position-wise feed-forward network."""

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


class MLPSpec(Spec):
    type: Literal["mlp"] = "mlp"
    d_ff: int = Field(2048, ge=1, le=1_000_000)
    """Width of the hidden layer."""
    activation: Activation = "relu"
    """Function between the two products."""
    bias: bool = True
    """Whether both products add a bias, as in the paper."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a hidden value in training: the paper drops none here."""
    output_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the output, in training; DistilBERT does it here and not after attention,
    while a layer's dropout, which comes on top, is for both."""

    def n_parameters(self, *, d_model: int) -> int:
        return linear_size(d_model, self.d_ff, bias=self.bias) + linear_size(
            self.d_ff, d_model, bias=self.bias
        )

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        hidden = self.d_ff * (1 if self.activation == "relu" else 2)
        return batch.n_tokens * (d_model + hidden + (self.d_ff * 5 // 4 if self.dropout else 0))

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return trained(2 * product(batch.n_tokens, d_model, self.d_ff), "4·T·D·F")


@FFN.register(
    "mlp",
    spec=MLPSpec,
    examples=[
        {"d_ff": 17},
        {"d_ff": 5, "activation": "gelu", "bias": False},
        {"d_ff": 7, "output_dropout": 0.3},
    ],
)
class MLP(nn.Module):
    """activation(x W₁ + b₁) W₂ + b₂, at each position alike.

    Source: Vaswani et al. 2017, equation 2.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        d_ff: int,
        activation: Activation,
        bias: bool,
        dropout: float,
        output_dropout: float,
    ) -> None:
        super().__init__()
        self.inner = Linear(d_model, d_ff, bias=bias)
        self.outer = Linear(d_ff, d_model, bias=bias)
        self.activation = activation
        self.dropout = dropout
        self.output_dropout = output_dropout

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        return {self.inner: "residual_input", self.outer: "residual_output"}

    def forward(self, x: Tensor) -> Tensor:
        hidden = ACTIVATIONS[self.activation](self.inner(x))  # [B, T, F]
        out = self.outer(drop(hidden, self.dropout, training=self.training))
        return drop(out, self.output_dropout, training=self.training)
