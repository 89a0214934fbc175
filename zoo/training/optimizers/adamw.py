"""AdamW, in torch's fused form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER
from zoo.training.optimizers.adam import Beta, can_fuse
from zoo.training.optimizers.groups import decay_groups


class AdamWSpec(Spec):
    type: Literal["adamw"] = "adamw"
    n_state: ClassVar[int] = 2
    """Numbers kept for each weight: the two means."""
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """Decay of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0, le=1)
    """Added to the root of the second mean."""
    weight_decay: float = Field(0.01, ge=0, le=1)
    """Share of a weight taken off at each step, times the rate; biases, norms and embeddings are spared."""


@OPTIMIZER.register("adamw", spec=AdamWSpec, examples=[{}, {"weight_decay": 0.1}])
def adamw(
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> torch.optim.AdamW:
    """Adam with weight decay apart from the gradient.

    Source: Loshchilov and Hutter 2019. Differs: what is no matrix does not decay: biases, norms, embeddings.
    """
    parameters = list(parameters)
    groups = decay_groups(parameters, tables, weight_decay)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=can_fuse(parameters))
