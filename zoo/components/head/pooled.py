"""The head that gives a sequence one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.components.head._pooling import Pool, Pooling, pooling_flops
from zoo.costs import Cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD
from zoo.sizes import Batch, linear_size


class PooledSpec(Spec):
    type: Literal["pooled"] = "pooled"
    learns: ClassVar[None] = None
    pool: Pool = "first"
    """Which vector stands for the sequence: that of its first real token, of its last, the real tokens' mean, or a mean
    whose weights are learned (attention)."""
    activation: Activation | None = "tanh"
    """Function after the dense layer (BERT: tanh); None: there is no such layer (DINOv2)."""
    d_pooled: int | None = Field(None, ge=1, le=1_000_000)
    """Width of the vector; None: d_model."""
    bias: bool = True
    """Whether the dense layer adds a bias (CLIP: no)."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.activation is None and (self.d_pooled is not None or not self.bias):
            raise ValueError(
                "d_pooled and bias belong to a dense layer: give its activation, such as identity"
            )

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        scores = d_model if self.pool == "attention" else 0
        if self.activation is None:
            return scores
        return scores + linear_size(d_model, self.d_pooled or d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        return (
            batch.n_tokens * (d_model if self.pool == "attention" else 1)
            + 3 * (batch.n_tokens // batch.length) * d_model
        )

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        dense = 0 if self.activation is None else product(batch.n_rows, d_model, self.d_pooled or d_model)
        return trained(pooling_flops(self.pool, d_model, batch) + dense, "2·D·d_pooled")


@HEAD.register(
    "pooled",
    spec=PooledSpec,
    examples=[
        {},
        {"pool": "mean", "activation": "gelu", "d_pooled": 7},
        {"pool": "last", "activation": "identity"},
        {"pool": "attention"},
        {"pool": "mean", "activation": None},
        {"d_pooled": 5, "activation": "identity", "bias": False},
    ],
)
class Pooled(nn.Module):
    """activation(W x + b), x being one vector of the sequence: for a use outside of the model, or a task to come.

    Source: Devlin et al. 2019, by their code, which calls it the pooler; without a bias: Radford et al. 2021 (CLIP).
    Differs: with padding before a sequence, "first" is its first real token; transformers reads the padding there.
    Shapes: hidden [B, T, D], mask bool [B, T], None: all tokens are real -> [B, d_pooled].
        A row without a real token gives finite numbers that mean nothing.
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        pool: Pool,
        activation: Activation | None,
        d_pooled: int | None,
        bias: bool,
    ) -> None:
        super().__init__()
        self.pooling = Pooling(d_model=d_model, pool=pool)
        self.dense = None if activation is None else Linear(d_model, d_pooled or d_model, bias=bias)
        self.activation = activation or "identity"

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = self.pooling(hidden, mask)
        return x if self.dense is None else ACTIVATIONS[self.activation](self.dense(x))
