"""Sublayers that some samples skip in training, within any layout."""

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


class StochasticDepthSpec(AroundSpec):
    type: Literal["stochastic_depth"] = "stochastic_depth"
    in_vain: ClassVar[str] = "so none can be skipped"
    drop: float = Field(0.1, ge=0, lt=1)
    """Probability that a sample skips a sublayer, in training; in the paper it grows from 0 by depth, up to 0.5."""

    @property
    def wiring(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layout's within, with a chance to be skipped behind each sublayer."""
        return after_sublayer(self.layout.wiring, "skipped at times")


@LAYOUT.register(
    "stochastic_depth",
    spec=StochasticDepthSpec,
    examples=[{}, {"drop": 0.3, "layout": {"type": "layer_scale", "init": 0.5, "layout": "post_norm"}}],
)
class StochasticDepth(nn.Module):
    """Another layout over sublayers that give zeros for a sample with probability p, else sublayer(x) / (1 - p).

    Source: Huang et al. 2016, section 3.
    Differs: skips by sample instead of by batch, and divides by 1 - p in training instead of multiplying by it
        later, as is usual since (Larsson et al. 2017; "drop path"). A skipped sublayer is computed all the same.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, norms: Sequence[Spec], dropout: float, drop: float, layout: LayoutSpec
    ) -> None:
        super().__init__()
        self.inner = LAYOUT.build(layout, d_model=d_model, norms=norms, dropout=dropout)
        self.drop = drop

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        if not self.training or self.drop == 0:
            return self.inner(x, sublayers)
        return self.inner(x, [self._skipped(sublayer) for sublayer in sublayers])

    def _skipped(self, sublayer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            out = sublayer(x)
            keeps = torch.rand(len(x), 1, 1, device=x.device) >= self.drop  # [B, 1, 1]
            return out * (keeps / (1 - self.drop)).to(out.dtype)

        return run
