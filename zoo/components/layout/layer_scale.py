"""A learned gain per feature on every sublayer, within any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.layout._around import AroundSpec
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.kinds.layout import after_sublayer
from zoo.sizes import Batch


class LayerScaleSpec(AroundSpec):
    type: Literal["layer_scale"] = "layer_scale"
    in_vain: ClassVar[str] = "which undoes a gain on it"
    scales_branches: ClassVar[bool] = True
    init: float = Field(0.1, gt=0, le=1)
    """What every gain starts at: in the paper 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond."""

    @property
    def wiring(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layout's within, with a gain behind each sublayer."""
        return after_sublayer(self.layout.wiring, "× gain")

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return super().n_parameters(d_model=d_model, norms=norms) + len(norms) * d_model

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        kept = super().n_kept(d_model=d_model, norms=norms, batch=batch)
        return kept + len(norms) * batch.n_tokens * d_model


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
