"""The head that gives a sequence one vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.components.head._pooling import Pool, Pooling, pooling_flops
from zoo.costs import Cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD, NORM
from zoo.sizes import Batch, linear_size, n_parameters


class PooledSpec(Spec):
    type: Literal["pooled"] = "pooled"
    learns: ClassVar[None] = None
    pool: Pool = "first"
    """Which vector stands for the sequence: that of its first real token, of its last, the real tokens' mean, that of
    all but the first (BEiT: of the patches without class token), the largest values of the real tokens (max), or a mean
    whose weights are learned (attention)."""
    activation: Activation | None = "tanh"
    """Function after the dense layer (BERT: tanh); None: there is no such layer (DINOv2)."""
    d_pooled: int | None = Field(None, ge=1, le=1_000_000)
    """Width of the vector; None: d_model."""
    bias: bool = True
    """Whether the dense layer adds a bias (CLIP: no)."""
    norm: Annotated[Spec | None, NORM] = None
    """After pooling and dense layer (BEiT); None: there is none."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.activation is None and (self.d_pooled is not None or not self.bias):
            raise ValueError(
                "d_pooled and bias belong to a dense layer: give its activation, such as identity"
            )

    def contexts(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> dict[str, dict[str, Any]]:
        return {"norm": {"d_model": self.d_pooled or d_model}}

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        found, width = d_model if self.pool == "attention" else 0, self.d_pooled or d_model
        if self.activation is not None:
            found += linear_size(d_model, width, bias=self.bias)
        return found if self.norm is None else found + n_parameters(NORM, self.norm, d_model=width)

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
        {"pool": "mean_but_first", "d_pooled": 5, "norm": "layer_norm"},
        {"d_pooled": 5, "activation": "identity", "bias": False},
    ],
)
class Pooled(nn.Module):
    """activation(W x + b), x being one vector of the sequence: for a use outside of the model, or a task to come.

    A norm follows where asked.

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
        norm: Spec | None,
    ) -> None:
        super().__init__()
        self.pooling = Pooling(d_model=d_model, pool=pool)
        self.dense = None if activation is None else Linear(d_model, d_pooled or d_model, bias=bias)
        self.activation = activation or "identity"
        self.norm: nn.Module | None = None
        if norm is not None:
            self.norm = NORM.build(norm, d_model=d_pooled or d_model)

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = self.pooling(hidden, mask)
        if self.dense is not None:
            x = ACTIVATIONS[self.activation](self.dense(x))
        return x if self.norm is None else self.norm(x)
