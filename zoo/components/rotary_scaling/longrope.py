"""LongRoPE: a factor of its own for each pair, and other factors for sequences longer than those of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING

Factors = Annotated[tuple[Annotated[float, Field(gt=0, le=1e6)], ...], Field(min_length=1)]


class LongRopeScalingSpec(Spec):
    type: Literal["longrope"] = "longrope"
    short: Factors
    """By what each pair is slowed in sequences of up to original_max_len."""
    long: Factors
    """By what each pair is slowed in longer ones."""
    original_max_len: int = Field(ge=1, le=100_000_000)
    """Length of the sequences in training."""
    attention_factor: float = Field(1.0, gt=0, le=1e3)
    """By what queries and keys grow, at any length."""

    def check(self, *, size: int) -> None:
        for name in ("short", "long"):
            if len(getattr(self, name)) != size // 2:
                raise ValueError(
                    f"{name} must have a factor for each of {size // 2} pairs, not {len(getattr(self, name))}"
                )


@ROTARY_SCALING.register(
    "longrope",
    spec=LongRopeScalingSpec,
    examples=[{"short": [1.0, 1.5], "long": [2.0, 3.5], "original_max_len": 20, "attention_factor": 1.2}],
)
@dataclass(frozen=True, kw_only=True)
class LongRopeScaling:
    """Divides the speed of each pair by a factor that was searched for, one set of them for each range of lengths.

    Source: Ding et al. 2024 (2402.13753), section 3.2; two sets by length as in Phi-3's code.
    Differs: the length is that seen by the current call, so keys in a cache keep the turns of the length at which they
        came; transformers' Phi-3 computes the cache anew where a text it writes outgrows the first set.
    """

    follows_length: ClassVar[bool] = True

    short: tuple[float, ...]
    long: tuple[float, ...]
    original_max_len: int
    attention_factor: float

    def __call__(self, base: float, size: int, length: int, device: torch.device) -> tuple[Tensor, float]:
        chosen = self.short if length <= self.original_max_len else self.long
        factors = torch.tensor(chosen, dtype=torch.float64, device=device)
        return turns(base, size, device) / factors, self.attention_factor
