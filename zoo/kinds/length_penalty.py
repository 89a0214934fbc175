"""Length penalty: what a hypothesis's log probability is divided by."""

from __future__ import annotations

from typing import Protocol, TypeVar

from torch import Tensor

from registry import Kind

Length = TypeVar("Length", float, Tensor)


class LengthPenalty(Protocol):
    """Works on a number and on a tensor."""

    def __call__(self, length: Length) -> Length:
        """The divisor for a length in tokens."""
        ...


LENGTH_PENALTY = Kind(
    "length_penalty",
    package="zoo.generation.penalties",
    context=(),
    check=(),
    summary="what a hypothesis's log probability is divided by",
    contract=LengthPenalty,
)
