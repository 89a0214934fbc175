"""The steps of time that state space models take from token to token, as they are at first."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._directions import DirectionsSpec


class StepsSpec(DirectionsSpec):
    """Fields shared by the mixers whose state follows its tokens in steps of learned length."""

    min_step: float = Field(1e-3, gt=0, le=100)
    """Smallest step of time at first; steps are drawn evenly between the logarithms of both."""
    max_step: float = Field(0.1, gt=0, le=100)
    """Largest step of time at first."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.min_step > self.max_step:
            raise ValueError(f"min_step ({self.min_step}) must not be above max_step ({self.max_step})")


@torch.no_grad()
def draw_log_steps(log_step: Tensor, smallest: float, largest: float) -> None:
    """Fills a tensor with the logarithms of steps."""
    nn.init.uniform_(log_step, math.log(smallest), math.log(largest))


@torch.no_grad()
def draw_step_biases(bias: Tensor, smallest: float, largest: float) -> None:
    """Fills a tensor with what softplus turns into steps."""
    draw_log_steps(bias, smallest, largest)
    step = bias.exp()
    bias.copy_(step + (-torch.expm1(-step)).log())
