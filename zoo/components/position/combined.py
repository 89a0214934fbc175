"""Two positional encodings at once: one in the embeddings, another where queries meet keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from registry import Spec, Within
from zoo.components.heads import has_hook
from zoo.costs import NO_PRODUCTS, Cost, bias_flops
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch, n_kept, n_parameters


class CombinedSpec(PositionSpec):
    type: Literal["combined"] = "combined"
    embedded: Annotated[PositionSpec, POSITION] = Field("learned", validate_default=True)
    """What is added to the embeddings."""
    scored: Annotated[PositionSpec, POSITION] = Field("relative_buckets", validate_default=True)
    """What turns queries and keys, or biases their scores."""

    @property
    def is_per_head(self) -> bool:  # type: ignore[override]
        """As what is scored."""
        return self.scored.is_per_head

    @property
    def max_len(self) -> int | None:
        """The shorter end of the two that have one."""
        return _shorter(self.embedded, self.scored)

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if not has_hook(self.embedded, "embed"):
            raise ValueError(f"embedded {self.embedded.type} adds nothing to embeddings; take learned ones")
        if not (has_hook(self.scored, "rotate") or has_hook(self.scored, "bias")):
            raise ValueError(f"scored {self.scored.type} neither turns nor biases; take relative_buckets")
        if has_hook(self.scored, "embed"):
            raise ValueError(f"scored {self.scored.type} adds to embeddings, where embedded does already")

    def part_with(self, hook: str) -> Spec:
        return self.embedded if hook == "embed" else self.scored

    def contexts(self, **heads: Any) -> dict[str, Any]:
        return {"embedded": Within(heads, n_times=0), "scored": Within(heads, n_times=0)}

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        parts = (self.embedded, self.scored)
        return sum(n_parameters(POSITION, each, d_model=d_model, n_heads=n_heads) for each in parts)

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        parts = (self.embedded, self.scored)
        return sum(n_kept(POSITION, each, d_model=d_model, n_heads=n_heads, batch=batch) for each in parts)

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return bias_flops(self.scored, n_heads=n_heads, d_k=d_k, batch=batch)


@POSITION.register(
    "combined",
    spec=CombinedSpec,
    examples=[
        {"embedded": {"type": "learned", "max_len": 23}},
        {"embedded": "sinusoidal", "scored": {"type": "rotary", "base": 50.0}},
    ],
)
class Combined(Position):
    """Adds to the embeddings by one encoding; turns queries and keys, and biases scores, by another.

    Source: Song et al. 2020 (MPNet), by their code: learned vectors, and T5's buckets.
    Shapes: embed x [B, T, D] -> [B, T, D]; rotate and rotate_keys x [B, H, T, K] -> [B, H, T, K];
        bias q [B, H, T, K], k [B, G, S, K] -> [1 or B, 1 or H, T, S] or None.
    """

    def __init__(self, *, d_model: int, n_heads: int, embedded: PositionSpec, scored: PositionSpec) -> None:
        super().__init__()
        self.embedded: Position = POSITION.build(embedded, d_model=d_model, n_heads=n_heads)
        self.scored: Position = POSITION.build(scored, d_model=d_model, n_heads=n_heads)

    @property
    def max_len(self) -> int | None:
        """The longest sequence that both reach."""
        return _shorter(self.embedded, self.scored)

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self.embedded.embed(x, mask=mask)

    @property
    def turns(self) -> bool:
        return self.scored.turns

    def rotate(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self.scored.rotate(x, mask=mask)

    def rotate_keys(self, x: Tensor, *, mask: Mask) -> Tensor:
        return self.scored.rotate_keys(x, mask=mask)

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor | None:
        return self.scored.bias(q, k, scale=scale, mask=mask)


def _shorter(*positions: PositionSpec | Position) -> int | None:
    ends = [getattr(each, "max_len", None) for each in positions]
    return min((end for end in ends if end is not None), default=None)
