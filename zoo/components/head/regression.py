"""The head that gives every place a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD
from zoo.losses import Learns, Sums, squared_error
from zoo.sizes import Batch, linear_size


class RegressionSpec(Spec):
    type: Literal["regression"] = "regression"
    learns: ClassVar[Learns] = "value"
    n_outputs: int = Field(ge=1, le=10_000_000)
    """Numbers given for a place: for a patch of a series, its values."""
    bias: bool = True
    """Whether the projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the projection, in training."""

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        return linear_size(d_model, self.n_outputs, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        return batch.n_tokens * (2 * d_model + 2 * self.n_outputs)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        return trained(product(batch.n_tokens, d_model, self.n_outputs), "2·T·D·n_outputs")


@HEAD.register(
    "regression",
    spec=RegressionSpec,
    examples=[{"n_outputs": 3}, {"n_outputs": 1, "bias": False, "dropout": 0.1}],
)
class Regression(nn.Module):
    """A projection of each place's vector to numbers, learnt by squared error.

    Source: Nie et al. 2023 (PatchTST), section 3.2: the layer that gives a masked patch its values; in a decoder over
        a series, which gives every patch the next one, Das et al. 2024 (TimesFM), section 4.
    Shapes: hidden [B, T, D] -> [B, T, n_outputs]; what stands at padding means nothing.
    """

    def __init__(
        self, *, d_model: int, embeddings: Mapping[str, nn.Module], n_outputs: int, bias: bool, dropout: float
    ) -> None:
        super().__init__()
        self.output = Linear(d_model, n_outputs, bias=bias)
        self.dropout = dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return self.output(drop(hidden, self.dropout, training=self.training))

    def loss(self, hidden: Tensor, values: Tensor, *, scale: Tensor | None) -> Sums:
        """Summed squared error; each number counts, so that the mean is that of numbers.

        Shapes: hidden [N, D] of the places that are predicted, values float [N, n_outputs]; scale float [N] where the
            numbers of a place are in units of its own, in which the error is not.
        Raises: ValueError for values of another shape.
        """
        return squared_error(self(hidden), values, scale=scale)
