"""A scaling of rotary positions: pairs that turn slowly turn still more slowly.

Next:
    pytest test_my_part.py
    zoo describe rotary_scaling/my_part --plugin my_part.py
    zoo train char_gpt --scale tiny --plugin my_part.py 'model.position={type: rotary, scaling: my_part}'
"""

from typing import Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    factor: float = Field(4.0, ge=1, le=10_000)
    """How many times longer sequences become: the slowest pair is slowed by that."""

    # Optional: check(self, *, size) raises ValueError for what the part cannot do.


@ROTARY_SCALING.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"factor": 3.0}],
)
class MyPart:
    """Divides the speed of pair i of n by factor^(i / (n - 1)): the fastest keeps its own."""

    # Optional: `follows_length = True` where the length of the sequence matters.

    def __init__(self, *, factor: float) -> None:
        self.factor = factor

    def __call__(
        self, base: float, size: int, length: int, device: torch.device
    ) -> tuple[Tensor, float]:
        speeds = turns(base, size, device)  # radians a token of each pair [size / 2]
        share = torch.linspace(0, 1, len(speeds), dtype=speeds.dtype, device=device)
        return speeds / self.factor**share, 1.0  # and by what queries and keys grow
