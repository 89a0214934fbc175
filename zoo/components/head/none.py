"""No head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import HEAD
from zoo.sizes import Batch


class NoHeadSpec(Spec):
    type: Literal["none"] = "none"
    learns: ClassVar[None] = None

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        return 0

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@HEAD.register("none", spec=NoHeadSpec, examples=[{}])
class NoHead(nn.Module):
    """Hands the hidden vectors on, for a use outside of the model.

    Source: none needed: the identity.
    Shapes: hidden [B, T, D] -> the same.
    """

    def __init__(self, *, d_model: int, embeddings: Mapping[str, nn.Module]) -> None:
        super().__init__()

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return hidden
