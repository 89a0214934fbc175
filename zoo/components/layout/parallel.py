"""All sublayers side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from registry import Spec
from zoo.components.norms import n_kept_of_norms, n_of_norms
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec
from zoo.sizes import Batch


class ParallelSpec(LayoutSpec):
    type: Literal["parallel"] = "parallel"
    ends_normed: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = True
    shared_norm: bool = False
    """Whether all sublayers read one normalised input (GPT-J, PaLM) instead of each its own (GPT-NeoX)."""

    @property
    def wiring(self) -> tuple[str, ...]:  # type: ignore[override]
        """One norm before the branches, or one on each."""
        if self.shared_norm:
            return ("fork", "norm", "parallel", "sublayer", "add")
        return ("fork", "parallel", "norm", "sublayer", "add")

    def check(self, *, norms: Sequence[Spec]) -> None:
        if self.shared_norm and any(norm != norms[0] for norm in norms):
            given = " and ".join(norm.type for norm in norms)
            raise ValueError(f"shared_norm takes one form of norm for all sublayers, got {given}")

    def own(self, norms: Sequence[Spec]) -> Sequence[Spec]:
        """The norms there are, of those for each sublayer."""
        return norms[:1] if self.shared_norm else norms

    def n_parameters(self, *, d_model: int, norms: Sequence[Spec]) -> int:
        return n_of_norms(self.own(norms), d_model)

    def n_kept(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> int:
        own = self.own(norms)
        return (
            n_kept_of_norms(own, d_model, batch) - (len(own) - 1) * batch.n_tokens * d_model
        )  # of one input

    def cost(self, *, d_model: int, norms: Sequence[Spec], batch: Batch) -> Cost:
        return NO_PRODUCTS


@LAYOUT.register("parallel", spec=ParallelSpec, examples=[{}, {"shared_norm": True}])
class Parallel(nn.Module):
    """x + Σ dropout(sublayer(norm(x))): every sublayer reads the layer's input, none the output of another.

    Source: Wang and Komatsuzaki 2021 (GPT-J); Black et al. 2022 (GPT-NeoX-20B).
    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float, shared_norm: bool) -> None:
        super().__init__()
        own = norms[:1] if shared_norm else norms
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in own)
        self.dropout = dropout
        self.shared_norm = shared_norm

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        normed = [norm(x) for norm in self.norms] * (len(sublayers) if self.shared_norm else 1)
        for given, sublayer in zip(normed, sublayers, strict=True):
            x = dropout_add(x, sublayer(given), self.dropout, training=self.training)
        return x
