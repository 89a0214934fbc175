"""DeBERTa's table of relative positions, which a disentangled attention reads."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM, POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch, n_parameters


class RelativeEmbeddingsSpec(PositionSpec):
    type: Literal["relative_embeddings"] = "relative_embeddings"
    span: int = Field(512, ge=1, le=1_000_000)
    """Distances, or buckets of them, told apart on each side: the table has 2·span vectors."""
    max_distance: int | None = Field(None, ge=2, le=100_000_000)
    """None: each distance up to span has a vector; else those beyond span/2 share logarithmic buckets up to this."""
    norm: Annotated[Spec | None, NORM] = None
    """Applied to the vectors before they are used (DeBERTa v2 and v3: a layer norm)."""

    @property
    def n_vectors(self) -> int:
        """P: the vectors of the table."""
        return 2 * self.span

    @model_validator(mode="after")
    def _buckets_have_a_slope(self) -> RelativeEmbeddingsSpec:
        if self.max_distance is not None and (self.span < 4 or self.max_distance < self.span // 2 + 2):
            raise ValueError(
                f"logarithmic buckets need span ({self.span}) to be at least 4 and max_distance "
                f"({self.max_distance}) to be at least span / 2 + 2"
            )
        return self

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        found = 2 * self.span * d_model
        return found if self.norm is None else found + n_parameters(NORM, self.norm, d_model=d_model)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 2 * self.span * d_model + 2 * batch.length**2

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@POSITION.register(
    "relative_embeddings",
    spec=RelativeEmbeddingsSpec,
    examples=[
        {"span": 3},
        {"span": 4, "max_distance": 9, "norm": "layer_norm"},
    ],
)
class RelativeEmbeddings(Position):
    """A learned vector of size D for each relative position; its hooks do nothing, an attention reads it.

    An attention that knows it calls two methods and projects the vectors itself:
        vectors() -> [2·span, D], the table, normalised where a norm was given: the same for all heads and layers.
        buckets(mask, T, S, device) -> int64 [T, S], for query t and key s the row of their relative position: that
            of span + (i - j), i the query's position and j the key's, clipped to the table. Row span is distance 0,
            rows above it are keys before the query.
    With Q_r and K_r the projected vectors, content-to-position is c2p[t, s] = q[t] · K_r[buckets[t, s]] and
    position-to-content p2c[t, s] = k[s] · Q_r[buckets[t, s]]: one index serves both, as in the authors' code. Both are
    a product with all 2·span vectors, then a gather: `(q @ K_r.T).gather(-1, buckets)` and
    `(k @ Q_r.T).gather(-1, buckets.T).T`.

    Source: He et al. 2021 (DeBERTa), equations 2 to 4; logarithmic buckets by the code of v2, in float32 as there.
    Shapes: the table is [2·span, D]; the hooks leave x, q and k as they are.
    """

    def __init__(
        self, *, d_model: int, n_heads: int, span: int, max_distance: int | None, norm: Spec | None
    ) -> None:
        super().__init__()
        self.span = span
        self.max_distance = max_distance
        self.table = nn.Embedding(2 * span, d_model)
        self.norm = None if norm is None else NORM.build(norm, d_model=d_model)

    def vectors(self) -> Tensor:
        """The vector of each relative position: [2·span, D]."""
        return self.table.weight if self.norm is None else self.norm(self.table.weight[None])[0]

    def buckets(self, mask: Mask, T: int, S: int, device: torch.device) -> Tensor:
        """The row of `vectors` for T queries and S keys of the mask, shared by all layers: int64 [T, S]."""

        def make() -> Tensor:
            if mask.positions is not None:
                raise ValueError(
                    "relative_embeddings tell places apart and take no positions given to a call"
                )
            distances = mask.query_places(T, device)[:, None] - mask.key_places(S, device)
            return (self._bucketed(distances) + self.span).clamp(0, 2 * self.span - 1)

        return mask.once((self, "buckets", T, S, device), make)

    def _bucketed(self, distances: Tensor) -> Tensor:
        if self.max_distance is None:
            return distances
        middle = self.span // 2  # up to here each distance is its own bucket
        far = distances.abs().clamp(min=middle)
        steepest = torch.tensor((self.max_distance - 1) / middle, dtype=torch.float32).log()
        powers = torch.log(far.float() / middle) / steepest.to(distances.device)
        shared = middle + (powers * (middle - 1)).ceil().long()
        return torch.where(distances.abs() <= middle, distances, shared * distances.sign())
