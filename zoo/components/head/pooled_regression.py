"""The head that gives a whole sequence a few numbers by one vector of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.head._pooling import Pool, Pooling, pooling_flops
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD
from zoo.losses import Learns, Sums, squared_error
from zoo.sizes import Batch, linear_size


class PooledRegressionSpec(Spec):
    type: Literal["pooled_regression"] = "pooled_regression"
    learns: ClassVar[Learns] = "numbers"
    n_outputs: int = Field(ge=1, le=10**6)
    """Numbers given for a sequence: how many values a forecast has."""
    pool: Pool = "mean"
    """Which vector stands for the sequence: the real tokens' mean, their largest values, that of the first, ..."""
    bias: bool = True
    """Whether the projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the projection, in training."""

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        scores = d_model if self.pool == "attention" else 0
        return scores + linear_size(d_model, self.n_outputs, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        n_vectors = batch.n_tokens // batch.length
        pooling = batch.n_tokens * (d_model if self.pool == "attention" else 1)
        return pooling + n_vectors * (3 * d_model + 2 * self.n_outputs)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        pooling = pooling_flops(self.pool, d_model, batch)
        return trained(pooling + product(batch.n_rows, d_model, self.n_outputs), "2·D·n_outputs")


@HEAD.register(
    "pooled_regression",
    spec=PooledRegressionSpec,
    examples=[
        {"n_outputs": 3},
        {"n_outputs": 2, "pool": "max", "dropout": 0.1},
        {"n_outputs": 1, "pool": "first", "bias": False},
    ],
)
class PooledRegression(nn.Module):
    """One vector of the sequence and a projection of it to numbers, learnt by squared error.

    Source: transformers' PatchTST, where its patches are pooled (mean, max, or its class token: first) and not read
        side by side, as in the paper, which is flattened_regression.
    Shapes: hidden [B, T, D], mask bool [B, T], None: all are real -> [B, n_outputs].
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        n_outputs: int,
        pool: Pool,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pooling = Pooling(d_model=d_model, pool=pool)
        self.output = Linear(d_model, n_outputs, bias=bias)
        self.dropout = dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return self.output(drop(self.pooling(hidden, mask), self.dropout, training=self.training))

    def loss(self, hidden: Tensor, values: Tensor, *, mask: Tensor | None, scale: Tensor | None) -> Sums:
        """Summed squared error, in units of `scale` where the numbers of a sequence are in units of its own.

        Shapes: hidden [B, T, D], values float [B, n_outputs], mask bool [B, T], scale float [B].
        Raises: ValueError for values of another shape.
        """
        return squared_error(self(hidden, mask=mask), values, scale=scale)
