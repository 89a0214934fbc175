"""Initialization: what sets a new model's weights."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from registry import Kind


class Initialization(Protocol):
    """No torch module: a callable."""

    def __call__(self, model: nn.Module) -> None:
        """Sets the weights in place, drawing from torch's global generator."""
        ...


INITIALIZATION = Kind(
    "initialization",
    package="zoo.components.initialization",
    context=(),
    summary="sets a new model's weights",
    contract=Initialization,
)
