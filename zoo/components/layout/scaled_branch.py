"""One fixed factor on every sublayer, within any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.layout._around import AroundSpec
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.kinds.layout import after_sublayer


class ScaledBranchSpec(AroundSpec):
    type: Literal["scaled_branch"] = "scaled_branch"
    in_vain: ClassVar[str] = "which undoes a factor on it"
    factor: float = Field(gt=0, le=1e3)
    """What every sublayer's output is multiplied by."""

    @property
    def wiring(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layout's within, with a factor behind each sublayer."""
        return after_sublayer(self.layout.wiring, f"× {self.factor:g}")


@LAYOUT.register(
    "scaled_branch",
    spec=ScaledBranchSpec,
    examples=[{"factor": 0.22}, {"factor": 0.5, "layout": {"type": "parallel", "shared_norm": True}}],
)
class ScaledBranch(nn.Module):
    """Another layout over factor · sublayer(x) in place of each sublayer(x).

    Source: Yang et al. 2022 (2203.03466), depth-wise scaling of residual branches, as in Granite 3.0 and MiniCPM.
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(
        self, *, d_model: int, norms: Sequence[Spec], dropout: float, factor: float, layout: LayoutSpec
    ) -> None:
        super().__init__()
        self.inner = LAYOUT.build(layout, d_model=d_model, norms=norms, dropout=dropout)
        self.factor = factor

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        return self.inner(x, [self._scaled(sublayer) for sublayer in sublayers])

    def _scaled(self, sublayer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: sublayer(x) * self.factor
