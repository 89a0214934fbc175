"""Layout: what wires sublayers, residuals, norms and dropout into a layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from torch import Tensor

from registry import Kind, Spec
from zoo.kinds._sizes import sized


class Layout(Protocol):
    """norms are the specs of the norms, one a sublayer, dropout a probability; the spec is a LayoutSpec;
    check(norms=) of the spec.
    """

    def __call__(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        """x [B, T, D], sublayers each [B, T, D] -> [B, T, D] -> [B, T, D]."""
        ...


LAYOUT = Kind(
    "layout",
    package="zoo.components.layout",
    context=("d_model", "norms", "dropout"),
    check=("norms",),
    calls=sized("d_model", "norms"),
    summary="wires sublayers, residuals, norms and dropout into a layer",
    contract=Layout,
)


class LayoutSpec(Spec):
    """Base of every layout's spec."""

    norms_branches: ClassVar[bool] = False
    """Whether it normalises what a sublayer gives before adding it, so that scaling a sublayer does nothing."""
    leaves_out: ClassVar[bool] = False
    """Whether a sublayer that gives nothing is left out, its norm with it: where norms stand on the branches only."""
    scales_branches: ClassVar[bool] = False
    """Whether it learns a gain on what a sublayer gives."""
    uses_norms: ClassVar[bool] = True
    """Whether it normalises at all."""
    wiring: ClassVar[tuple[str, ...]] = ()
    """What a sublayer's input meets on its way, for pictures: "fork" (a second path begins, the residual), "norm",
    "sublayer", "add" (the two paths meet) and further operations by their signs, such as "× α"; one on the second path
    stands behind "fork". After "parallel" all sublayers stand side by side, up to "add". Empty: drawn without."""

    @property
    @abstractmethod
    def ends_normed(self) -> bool:
        """Whether a layer's output is already normalised (post-norm); if not, a stack ends with a norm by default.

        A layout that always is, or never is, says so by `ends_normed: ClassVar[bool] = True`, or False.
        """


def after_sublayer(wiring: tuple[str, ...], sign: str) -> tuple[str, ...]:
    """A wiring with one operation more behind each sublayer."""
    return tuple(step for each in wiring for step in ((each, sign) if each == "sublayer" else (each,)))
