"""Muon: orthogonal steps for matrices, AdamW's for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER
from zoo.training.optimizers.adam import Beta, can_fuse
from zoo.training.optimizers.groups import matrices


class MuonSpec(Spec):
    type: Literal["muon"] = "muon"
    is_by_number: ClassVar[bool] = False
    n_state: ClassVar[int] = 2
    """Numbers kept for each weight: the two means where AdamW works, one momentum elsewhere."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Decay of the running mean of a matrix's gradient."""
    nesterov: bool = True
    """Whether the gradient is looked at where the momentum leads to."""
    n_iterations: int = Field(5, ge=1, le=99)
    """Newton-Schulz iterations that make a step orthogonal."""
    scale: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    """What a matrix's rate is multiplied by: 0.2 · root of its longer side, so that AdamW's rates serve for both
    (Liu et al. 2025); or the root of its rows over columns, where that is above 1 (Jordan et al. 2024)."""
    weight_decay: float = Field(0.1, ge=0, le=1)
    """Share of a matrix taken off at each step, times the rate; nothing else decays."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """AdamW's decay of the running means of the gradient and of its square."""
    eps: float = Field(1e-8, gt=0, le=1)
    """AdamW's, added to the root of the second mean."""


class MuonWithAdamW(torch.optim.Optimizer):
    """torch.optim.Muon and torch.optim.AdamW as one: their groups, in this order, and their states side by side."""

    def __init__(self, muon: torch.optim.Muon | None, adamw: torch.optim.AdamW | None) -> None:
        self._inner: list[torch.optim.Optimizer] = [each for each in (muon, adamw) if each is not None]
        super().__init__([group for each in self._inner for group in each.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Makes the groups and states here those of the inner ones: a rate set here is theirs."""
        groups = iter(self.param_groups)
        for each in self._inner:
            each.param_groups = [next(groups) for _ in each.param_groups]
            each.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for each in self._inner:
            each.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._share()


@OPTIMIZER.register("muon", spec=MuonSpec, examples=[{}, {"scale": "original", "nesterov": False}])
def muon(
    *,
    momentum: float,
    nesterov: bool,
    n_iterations: int,
    scale: str,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> MuonWithAdamW:
    """Momentum made orthogonal, for matrices; AdamW for biases, norms, embeddings and what has more than two axes.

    Source: Jordan et al. 2024, in torch's form, whose momentum is a mean, not a sum; Liu et al. 2025 for the scale.
    """
    decaying, rest = matrices(list(parameters), tables)
    flat = [p for p in decaying if p.ndim == 2]
    rest += [p for p in decaying if p.ndim != 2]
    return MuonWithAdamW(
        torch.optim.Muon(
            flat,
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_steps=n_iterations,
            adjust_lr_fn=scale,
        )
        if flat
        else None,
        torch.optim.AdamW(rest, lr=lr, betas=betas, eps=eps, weight_decay=0.0, fused=can_fuse(rest))
        if rest
        else None,
    )
