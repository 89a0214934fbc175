"""One fixed factor on every sublayer, within any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Problem, Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.kinds.layout import after_sublayer
from zoo.sizes import Batch, n_kept, n_parameters


class ScaledBranchSpec(LayoutSpec):
    type: Literal["scaled_branch"] = "scaled_branch"
    scales_branches: ClassVar[bool] = False
    factor: float = Field(gt=0, le=1e3)
    """What every sublayer's output is multiplied by."""
    layout: Annotated[LayoutSpec, LAYOUT] = Field("pre_norm", validate_default=True)
    """The layout whose sublayers are scaled."""

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
        """The layout's within, with a factor behind each sublayer."""
        return after_sublayer(self.layout.wiring, f"× {self.factor:g}")

    def problems(self, path: str) -> list[Problem]:
        """Whether a factor does anything in the layout within."""
        if self.layout.norms_branches:
            text = "normalises what a sublayer gives, which undoes a factor on it; take a layout such as pre_norm"
            return [Problem(f"{path}.layout", text)]
        return []

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_parameters(LAYOUT, self.layout, d_model=d_model, norms=norms)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        return n_kept(LAYOUT, self.layout, d_model=d_model, norms=norms, batch=batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


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
