"""One normal distribution for every matrix."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.components.initialization._modules import Declared, declared, drawn, zero_bias
from zoo.kinds import INITIALIZATION


class NormalSpec(Spec):
    type: Literal["normal"] = "normal"
    std: float = Field(0.02, gt=0, le=10)
    """Standard deviation: 0.02 is BERT's and GPT-2's."""
    residual_scaling: bool = False
    """Whether the projections that end a sublayer have it divided by the root of their number in the stack (GPT-2)."""


@INITIALIZATION.register("normal", spec=NormalSpec, examples=[{}, {"std": 0.5}, {"residual_scaling": True}])
class NormalInitialization:
    """Matrices, convolutions and embeddings normal with one deviation, biases zero.

    With residual_scaling, the matrices that parts declare as residual_output have std / √(sublayers of the stack that
    end so), 2·n_layers of them in a stack without cross-attention, so that the residual sum of them all has the
    deviation of one.

    Source: Devlin et al. 2019 and Radford et al. 2019 (section 2.3 for the scaling), by their published code.
    Shapes: sets nn.Linear, nn.Conv1d, nn.Conv2d and nn.Embedding modules, frozen and weight-normalised ones aside;
        any other parameter keeps what its module gave it.
    """

    def __init__(self, *, std: float, residual_scaling: bool) -> None:
        self.std = std
        self.residual_scaling = residual_scaling

    def __call__(self, model: nn.Module) -> None:
        ends = declared(model) if self.residual_scaling else {}
        for module, weight in drawn(model):
            nn.init.normal_(weight, std=self.std * _share(ends.get(module)))
            zero_bias(module)


def _share(found: Declared | None) -> float:
    """1 / √(the branches of the stack) for a matrix that ends one, else 1."""
    return found.n_branches**-0.5 if found is not None and found.role == "residual_output" else 1.0
