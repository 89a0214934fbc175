"""What every mixer that passes over the tokens must do, held to its recurrence, which each test file writes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing import assert_close

from zoo.masks import Mask

ByFormula = Callable[[Any, Tensor], Tensor]
"""A scan's output for one row [T, D], token by token."""


def run(module: nn.Module, x: Tensor, **mask: Any) -> Tensor:
    """Causally, over x [B, T, D]."""
    return module(x, mask=Mask(causal=True, **mask), position=None, cache=None)


@torch.no_grad()
def holds_for_both_directions(made: Callable[..., nn.Module], by_formula: ByFormula, x: Tensor) -> None:
    """Passes over x [T, D] from its end are recurrences over the reverse, and of both the outputs are added."""
    for direction in ("backwards", "both"):
        module = made(direction=direction)
        wanted = by_formula(module.backwards, x.flip(0)).flip(0)
        if direction == "both":
            wanted += by_formula(module.forwards, x)
        out = module(x[None], mask=Mask(), position=None, cache=None)
        assert_close(out[0], wanted, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def holds_for_a_prompt_in_pieces(
    module: nn.Module, by_formula: ByFormula, x: Tensor, *, hidden: Sequence[int], cuts: Sequence[int]
) -> None:
    """Pieces of x [2, T, D], of whose second row some places are padding, leave the state of their real tokens."""
    keys = torch.ones(x.shape[:2], dtype=torch.bool)
    keys[1, list(hidden)] = False
    cache, outs = module.new_cache(), []
    for start, stop in zip((0, *cuts), (*cuts, x.shape[1]), strict=True):
        mask = Mask(causal=True, keys=keys[:, :stop], offset=start)
        outs.append(module(x[:, start:stop], mask=mask, position=None, cache=cache))
    out = torch.cat(outs, 1)
    for row in range(len(x)):
        wanted = by_formula(module.forwards, x[row, keys[row]])
        assert_close(out[row, keys[row]], wanted, rtol=1e-10, atol=1e-10)
