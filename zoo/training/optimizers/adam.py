"""Adam, in torch's fused form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from registry import Spec
from zoo.kinds import OPTIMIZER

Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamSpec(Spec):
    type: Literal["adam"] = "adam"
    n_state: ClassVar[int] = 2
    """Numbers kept for each weight: the two means."""
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    """Decay of the running means of the gradient and of its square; the default is the paper's."""
    eps: float = Field(1e-9, gt=0, le=1)
    """Added to the root of the second mean; the default is the paper's, torch's own is 1e-8."""


@OPTIMIZER.register("adam", spec=AdamSpec, examples=[{}, {"betas": (0.8, 0.95), "eps": 1e-6}])
def adam(
    *,
    betas: tuple[float, float],
    eps: float,
    parameters: Iterable[nn.Parameter],
    tables: Sequence[nn.Parameter],
    lr: float,
) -> torch.optim.Adam:
    """Adam without weight decay.

    Source: Kingma and Ba 2015; betas and eps of Vaswani et al. 2017, section 5.3.
    """
    parameters = list(parameters)
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, fused=can_fuse(parameters))


def can_fuse(parameters: list[nn.Parameter]) -> bool:
    """The fused update exists for floating-point weights on these devices."""
    return all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in parameters)
