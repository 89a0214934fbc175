"""A length penalty that stops to favour an output once it is long enough.

Next:
    pytest test_my_part.py
    zoo describe length_penalty/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py generation.length_penalty=my_part
"""

from typing import Literal, TypeVar

from pydantic import Field
from registry import Spec
from torch import Tensor
from zoo.kinds import LENGTH_PENALTY

Length = TypeVar("Length", float, Tensor)


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    enough: float = Field(20.0, gt=0, le=10_000)
    """The length from which on more of it hardly counts, in tokens."""


@LENGTH_PENALTY.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"enough": 5.0}],
)
class MyPart:
    """Divides a hypothesis's log probability by n / (1 + n / enough)."""

    def __init__(self, *, enough: float) -> None:
        self.enough = enough

    # A number, or a tensor of any shape; it must not fall as outputs become longer.
    def __call__(self, length: Length) -> Length:
        return length / (1.0 + length / self.enough)
