"""One normal distribution for every matrix."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.components.initialization._modules import Place, drawn, place, zero_bias
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

    With residual_scaling, the modules named output (of attention) and outer (of an ffn) have std / √(sublayers of
    the stack), 2·n_layers of them in a stack without cross-attention, so that the residual sum of them all has
    the deviation of one.

    Source: Devlin et al. 2019 and Radford et al. 2019 (section 2.3 for the scaling), by their published code.
    Shapes: sets nn.Linear, nn.Conv1d, nn.Conv2d and nn.Embedding modules, frozen and weight-normalised ones aside;
        any other parameter keeps what its module gave it.
    """

    def __init__(self, *, std: float, residual_scaling: bool) -> None:
        self.std = std
        self.residual_scaling = residual_scaling

    def __call__(self, model: nn.Module) -> None:
        ends = _ends(model) if self.residual_scaling else {}
        for path, module, weight in drawn(model):
            nn.init.normal_(weight, std=self.std * ends.get(path, 1.0))
            zero_bias(module)


def _ends(model: nn.Module) -> dict[str, float]:
    """The paths of the projections that end a sublayer, each with 1 / √(sublayers that end so in its stack)."""
    places = {path: found for path, *_ in drawn(model) if (found := place(path)) and _is_end(found)}
    sublayers = defaultdict(set)
    for found in places.values():
        sublayers[found.stack].add((found.layer, found.sublayer))
    return {path: len(sublayers[found.stack]) ** -0.5 for path, found in places.items()}


def _is_end(found: Place) -> bool:
    return found.name == ("outer" if found.sublayer == "ffn" else "output")
