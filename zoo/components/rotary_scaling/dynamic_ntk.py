"""A base that grows with the sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kernels.rotary import check_ntk, ntk_base, turns
from zoo.kinds import ROTARY_SCALING


class DynamicNTKScalingSpec(Spec):
    type: Literal["dynamic_ntk"] = "dynamic_ntk"
    factor: float = Field(ge=1, le=10_000)
    """How much more the slowest pair slows down for each further original_max_len of tokens."""
    original_max_len: int = Field(ge=1, le=100_000_000)
    """Length of the sequences in training, up to which nothing changes."""

    def check(self, *, size: int) -> None:
        check_ntk(size)


@ROTARY_SCALING.register(
    "dynamic_ntk", spec=DynamicNTKScalingSpec, examples=[{"factor": 3.0, "original_max_len": 20}]
)
@dataclass(frozen=True, kw_only=True)
class DynamicNTKScaling:
    """NTK scaling by a factor that grows with the sequence, from 1 at the length of training.

    Source: emozilla 2023, as given by Peng et al. 2023, section 3.3; the formula of the factor is transformers'.
    Differs: the length is that seen by the current call, so beyond original_max_len keys in a cache keep the turns of
        the length at which they came, as they do in transformers.
    """

    follows_length: ClassVar[bool] = True

    factor: float
    original_max_len: int

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        excess = max(length, self.original_max_len) / self.original_max_len - 1
        return turns(ntk_base(base, size, 1 + self.factor * excess), size, device), 1.0
