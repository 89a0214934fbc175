"""The head that gives a whole sequence a few numbers, each place by weights of its own."""

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


class FlattenedRegressionSpec(Spec):
    type: Literal["flattened_regression"] = "flattened_regression"
    learns: ClassVar[Learns] = "numbers"
    n_places: int = Field(ge=1, le=10**6)
    """Vectors of a sequence, all of which are read at once: as many as the embedding gives."""
    n_outputs: int = Field(ge=1, le=10**6)
    """Numbers given for a sequence: how many values a forecast has."""
    bias: bool = True
    """Whether the projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the projection, in training."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        for name, embedding in embeddings.items():
            length = getattr(embedding, "length", None)
            if length is None:
                raise ValueError(
                    f"{name} gives sequences of any length, and this head reads {self.n_places} vectors"
                )
            if length != self.n_places:
                raise ValueError(f"n_places ({self.n_places}) must be the vectors of {name}: {length}")

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        return linear_size(self.n_places * d_model, self.n_outputs, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        return batch.n_tokens * d_model + batch.n_tokens // batch.length * 2 * self.n_outputs

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        return trained(
            product(batch.n_rows, self.n_places * d_model, self.n_outputs), "2·n_places·D·n_outputs"
        )


@HEAD.register(
    "flattened_regression",
    spec=FlattenedRegressionSpec,
    examples=[
        {"n_places": 5, "n_outputs": 3},
        {"n_places": 5, "n_outputs": 1, "bias": False, "dropout": 0.1},
    ],
)
class FlattenedRegression(nn.Module):
    """A projection of all vectors of a sequence, side by side, to numbers, learnt by squared error.

    Source: Nie et al. 2023 (PatchTST), section 3.1: the flatten layer with linear head.
    Differs: a vector at padding counts as zero, for the paper has no padding.
    Shapes: hidden [B, T, D], T the spec's n_places, mask bool [B, T] | None -> [B, n_outputs].
    Raises: ValueError for sequences of another length.
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        n_places: int,
        n_outputs: int,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_places = n_places
        self.output = Linear(n_places * d_model, n_outputs, bias=bias)
        self.dropout = dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        if hidden.shape[1] != self.n_places:
            raise ValueError(f"a sequence must have {self.n_places} vectors, not {hidden.shape[1]}")
        if mask is not None:
            hidden = hidden.masked_fill(~mask[..., None], 0.0)
        return self.output(drop(hidden.flatten(1), self.dropout, training=self.training))

    def loss(self, hidden: Tensor, values: Tensor, *, mask: Tensor | None, scale: Tensor | None) -> Sums:
        """Summed squared error, in units of `scale` where the numbers of a sequence are in units of its own.

        Shapes: hidden [B, T, D], values float [B, n_outputs], mask bool [B, T], scale float [B].
        Raises: ValueError for values of another shape.
        """
        return squared_error(self(hidden, mask=mask), values, scale=scale)
