"""Lion: steps of one length, by the sign of a momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER
from zoo.training.optimizers.adam import Beta
from zoo.training.optimizers.groups import decay_groups


class LionSpec(Spec):
    type: Literal["lion"] = "lion"
    n_state: ClassVar[int] = 1
    """Numbers kept for each weight: the momentum."""
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    """Share of the momentum in the step, and its decay; the default is the paper's, which has (0.95, 0.98) for
    language models."""
    weight_decay: float = Field(0.0, ge=0, le=10)
    """Share of a weight taken off at each step, times the rate; what has no matrix to learn is spared: see adamw. The
    paper takes 3 to 10 times AdamW's, and a rate as much smaller."""


class Lion(torch.optim.Optimizer):
    """theta -= lr · (sign(b1·m + (1 - b1)·g) + decay·theta), then m = b2·m + (1 - b2)·g."""

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, decay, (b1, b2) = float(group["lr"]), group["weight_decay"], group["betas"]
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            for p in weights:
                if not self.state[p]:
                    self.state[p]["exp_avg"] = torch.zeros_like(p)
            gradients, momenta = [p.grad for p in weights], [self.state[p]["exp_avg"] for p in weights]
            updates = torch._foreach_sign(torch._foreach_lerp(momenta, gradients, 1 - b1))
            torch._foreach_mul_(weights, 1 - lr * decay)
            torch._foreach_add_(weights, updates, alpha=-lr)
            torch._foreach_lerp_(momenta, gradients, 1 - b2)
        return loss


@OPTIMIZER.register("lion", spec=LionSpec, examples=[{}, {"betas": (0.95, 0.98), "weight_decay": 0.1}])
def lion(
    *,
    betas: tuple[float, float],
    weight_decay: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> Lion:
    """Sign of an interpolated momentum, with weight decay apart from the gradient.

    Source: Chen et al. 2023, algorithm 2.
    """
    return Lion(decay_groups(parameters, tables, weight_decay), lr=lr, betas=betas)
