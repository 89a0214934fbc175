"""A higher base: slow pairs turn more slowly, fast ones as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kernels.rotary import check_ntk, ntk_base, turns
from zoo.kinds import ROTARY_SCALING


class NTKScalingSpec(Spec):
    type: Literal["ntk"] = "ntk"
    factor: float = Field(ge=1, le=10_000)
    """How many times slower the slowest pair turns; the fastest keeps its speed."""

    def check(self, *, size: int) -> None:
        check_ntk(size)


@ROTARY_SCALING.register("ntk", spec=NTKScalingSpec, examples=[{"factor": 3.0}])
@dataclass(frozen=True, kw_only=True)
class NTKScaling:
    """Raises the base so that the slowest pair turns slower by the factor and the fastest as before.

    Source: bloc97 2023 ("NTK-aware scaled RoPE"), as given by Peng et al. 2023, definition 1.
    """

    factor: float

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        return turns(ntk_base(base, size, self.factor), size, device), 1.0
