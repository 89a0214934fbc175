"""One normal distribution for every matrix."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import INITIALIZATION


class NormalSpec(Spec):
    type: Literal["normal"] = "normal"
    std: float = Field(0.02, gt=0, le=10)
    """Standard deviation: 0.02 is BERT's and GPT-2's."""


@INITIALIZATION.register("normal", spec=NormalSpec, examples=[{}, {"std": 0.5}])
class NormalInitialization:
    """Matrices and embeddings normal with one deviation, biases zero.

    Source: Devlin et al. 2019 and Radford et al. 2019, by their published code.
    Shapes: sets nn.Linear and nn.Embedding modules; any other parameter keeps what its module gave it.
    """

    def __init__(self, *, std: float) -> None:
        self.std = std

    def __call__(self, model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=self.std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
