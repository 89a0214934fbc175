"""Gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER
from zoo.training.optimizers.adam import can_fuse


class SGDSpec(Spec):
    type: Literal["sgd"] = "sgd"
    n_state: ClassVar[int] = 1
    """Numbers kept for each weight: the momentum."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """Share of the last update that goes into the next; 0 for none."""
    nesterov: bool = False
    """Whether the gradient is looked at where the momentum leads to."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """Times a weight is added to its gradient."""

    def check(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")


@OPTIMIZER.register("sgd", spec=SGDSpec, examples=[{}, {"momentum": 0.9, "nesterov": True}])
def sgd(
    *,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> torch.optim.SGD:
    """Stochastic gradient descent.

    Source: Sutskever et al. 2013 for the momentum, in torch's form, whose rate multiplies the momentum too.
    """
    parameters = list(parameters)
    return torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        weight_decay=weight_decay,
        fused=can_fuse(parameters),
    )
