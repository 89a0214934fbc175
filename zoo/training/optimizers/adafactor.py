"""Adafactor: second moments of a matrix by its rows and columns alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER
from zoo.training.optimizers.groups import decay_groups


class AdafactorSpec(Spec):
    type: Literal["adafactor"] = "adafactor"
    is_by_number: ClassVar[bool] = False
    n_state: ClassVar[int] = 0
    """Numbers kept for each weight: none to speak of, one for each row and column of a matrix."""
    beta2_decay: float = Field(-0.8, ge=-10, lt=0)
    """The decay of the second moment at step t is 1 - t to this power; the default is the paper's."""
    eps: float = Field(1e-3, gt=0, le=1)
    """The least size of a weight, by root mean square, that the rate is multiplied by; the default is the paper's."""
    clip: float = Field(1.0, ge=1, le=10**6)
    """The largest root mean square of a matrix's update, before the rate; the default is the paper's."""
    weight_decay: float = Field(0.0, ge=0, le=1)
    """Share of a weight taken off at each step, times the rate; see adamw."""


@OPTIMIZER.register("adafactor", spec=AdafactorSpec, examples=[{}, {"weight_decay": 0.1, "clip": 2.0}])
def adafactor(
    *,
    beta2_decay: float,
    eps: float,
    clip: float,
    weight_decay: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> torch.optim.Adafactor:
    """Adaptive rates in little memory, relative to the size of each matrix; no momentum.

    Source: Shazeer and Stern 2018, algorithm 5, in torch's form.
    Differs: torch takes the first epsilon from the dtype, where the paper has 1e-30, and no rate above step^-0.5.
    """
    groups = decay_groups(parameters, tables, weight_decay)
    return torch.optim.Adafactor(groups, lr=lr, beta2_decay=beta2_decay, eps=(None, eps), d=clip)
