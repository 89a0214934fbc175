"""First weights that turn and stretch nothing: orthogonal matrices.

Next:
    pytest test_my_part.py
    zoo conform initialization/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.initialization=my_part
"""

from typing import Literal

from pydantic import Field
from registry import Spec
from torch import nn
from zoo.kinds import INITIALIZATION


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    gain: float = Field(1.0, gt=0, le=100)
    """What the orthogonal matrices of linear maps are multiplied by."""


@INITIALIZATION.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}, {"gain": 0.5}],  # small specs, by which the laws try it
)
class MyPart:
    """Linear maps orthogonal, embeddings normal with deviation D^-0.5, biases zero.

    Source: Saxe et al. 2014 for the orthogonal matrices.
    """

    def __init__(self, *, gain: float) -> None:
        self.gain = gain

    # It draws from torch's global generator. A module may say what its matrices are for,
    # see zoo.kinds.Role; what is not set here keeps what its constructor drew.
    def __call__(self, model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, self.gain)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
