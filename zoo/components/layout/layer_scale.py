"""A learned gain per feature on every sublayer, within any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.kinds.layout import after_sublayer
from zoo.sizes import Batch, n_kept, n_parameters


class LayerScaleSpec(LayoutSpec):
    type: Literal["layer_scale"] = "layer_scale"
    scales_branches: ClassVar[bool] = True
    init: float = Field(0.1, gt=0, le=1)
    """What every gain starts at: in the paper 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond."""
    layout: Annotated[LayoutSpec, LAYOUT] = Field("pre_norm", validate_default=True)
    """The layout whose sublayers get the gain."""

    @property
    def ends_normed(self) -> bool:
        """As the layout within."""
        return self.layout.ends_normed

    @property
    def leaves_out(self) -> bool:  # type: ignore[override]
        """As the layout within."""
        return self.layout.leaves_out

    @property
    def uses_norms(self) -> bool:  # type: ignore[override]
        """As the layout within."""
        return self.layout.uses_norms

    @property
    def wiring(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layout's within, with a gain behind each sublayer."""
        return after_sublayer(self.layout.wiring, "× gain")

    def problems(self, path: str) -> list[Problem]:
        """Whether a gain does anything in the layout within."""
        if self.layout.norms_branches:
            text = (
                "normalises what a sublayer gives, which undoes a gain on it; take a layout such as pre_norm"
            )
            return [Problem(f"{path}.layout", text)]
        return []

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_parameters(LAYOUT, self.layout, d_model=d_model, norms=norms) + len(norms) * d_model

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        kept = n_kept(LAYOUT, self.layout, d_model=d_model, norms=norms, batch=batch)
        return kept + len(norms) * batch.n_tokens * d_model

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register(
    "layer_scale",
    spec=LayerScaleSpec,
    examples=[{}, {"init": 1e-3, "layout": {"type": "parallel", "shared_norm": True}}],
)
class LayerScale(nn.Module):
    """Another layout over gain ⊙ sublayer(x) in place of each sublayer(x).

    Source: Touvron et al. 2021 (CaiT), section 2.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, norms: Sequence[Spec], dropout: float, init: float, layout: LayoutSpec
    ) -> None:
        super().__init__()
        self.inner = LAYOUT.build(layout, d_model=d_model, norms=norms, dropout=dropout)
        self.gains = nn.ParameterList(torch.full((d_model,), init) for _ in norms)

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        return self.inner(x, [_scaled(*pair) for pair in zip(self.gains, sublayers, strict=True)])


def _scaled(gain: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: gain * sublayer(x)
