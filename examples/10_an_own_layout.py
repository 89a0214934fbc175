"""A layout of one's own: how sublayers, residuals and norms are wired. Here every other branch may rest in training.

On the command line: `zoo train quickstart --plugin THIS_FILE model.encoder.layer.layout=resting`.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

import zoo
from registry import Spec
from zoo.conformance import findings, part_of
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec


class RestingSpec(LayoutSpec):
    type: Literal["resting"] = "resting"
    ends_normed: ClassVar[bool] = False  # a stack then ends with a norm of its own
    wiring: ClassVar[tuple[str, ...]] = ("fork", "norm", "sublayer", "add")  # for `zoo draw`
    rests: float = Field(0.1, ge=0, lt=1)
    """Probability that a sublayer after the first is left out of a training step."""


@LAYOUT.register("resting", spec=RestingSpec, examples=[{"rests": 0.0}])
class Resting(nn.Module):
    """x = x + dropout(sublayer(norm(x))), where a sublayer behind the first may rest."""

    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float, rests: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.dropout, self.rests = dropout, rests

    def forward(self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        for i, (norm, sublayer) in enumerate(zip(self.norms, sublayers, strict=True)):
            branch = sublayer(norm(x))
            if self.training and i and self.rests:
                kept = torch.rand((), device=x.device) >= self.rests  # no branch in Python: it compiles
                branch = torch.where(kept, branch / (1 - self.rests), torch.zeros_like(branch))
            x = dropout_add(x, branch, self.dropout, training=self.training)
        return x


if __name__ == "__main__":
    for found in findings({"resting": part_of(LAYOUT, RestingSpec(rests=0.0))}):
        print(f"{found.result}: {found.law}")
    run = zoo.load("quickstart", "model.encoder.layer.layout={type: resting, rests: 0.2}")
    print(f"{zoo.n_parameters(run.model):,} parameters")
