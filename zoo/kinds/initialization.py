"""Initialization: what sets a new model's weights."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import nn

from registry import Kind

Role = Literal["residual_input", "residual_output"]
"""What a matrix in a layer is for, where that matters to its first weights. A part says it by a method
`roles() -> Mapping[nn.Module, Role]` of its own modules; what no part names is drawn as matrices are.

residual_input: carries a branch's content towards its end, such as values or an ffn's inner map; not what chooses among
    contents, such as queries, keys and routers.
residual_output: ends a branch, so its output is added to the residual sum.
"""


# What a part draws besides linear maps, convolutions and embeddings, such as the steps of a state space, it draws in a
# method `draw_first_values()`. Its constructor calls that, and `zoo.assembly.build` once more, from a seed of the
# part's name: what a constructor draws depends on what was built before.


class Initialization(Protocol):
    """No torch module: a callable."""

    def __call__(self, model: nn.Module) -> None:
        """Sets the weights in place, drawing from torch's global generator."""
        ...


INITIALIZATION = Kind(
    "initialization",
    package="zoo.components.initialization",
    context=(),
    check=(),
    summary="sets a new model's weights",
    contract=Initialization,
)
