"""What the specs of layouts that do something to the sublayers of another layout have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from registry import Problem, Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import LAYOUT, LayoutSpec
from zoo.sizes import Batch, n_kept, n_parameters


class AroundSpec(LayoutSpec):
    """Whatever a layout says of itself is said by the one within."""

    in_vain: ClassVar[str]
    """What a layout that normalises a sublayer's output makes of it."""
    layout: Annotated[LayoutSpec, LAYOUT] = Field("pre_norm", validate_default=True)
    """The layout within, to whose sublayers it is done."""

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
    def scales_branches(self) -> bool:  # type: ignore[override]
        """As the layout within."""
        return self.layout.scales_branches

    def problems(self, path: str) -> list[Problem]:
        """Whether it does anything in the layout within."""
        if self.layout.norms_branches:
            text = f"normalises what a sublayer gives, {self.in_vain}; take a layout such as pre_norm"
            return [Problem(f"{path}.layout", text)]
        return []

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        """Those of the layout within."""
        return n_parameters(LAYOUT, self.layout, d_model=d_model, norms=norms)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        """What the layout within keeps."""
        return n_kept(LAYOUT, self.layout, d_model=d_model, norms=norms, batch=batch)

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        """No products."""
        return NO_PRODUCTS
