"""Dropout with cheap random bits on the CPU, and fused with the residual sum that follows it.

torch draws a Bernoulli number a value on the CPU, which costs as much as a small matrix product. Sixteen random bits a
value are a sixth of that; the probability is then a multiple of 2^-16, and the scale is exact for that multiple.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_LEVELS = 1 << 16


def dropout(x: Tensor, p: float, *, training: bool) -> Tensor:
    """Zeroes each value of x with probability p and scales the others by 1 / (1 - p); x itself when not training.

    Source: Srivastava et al. 2014. p is rounded to a multiple of 2^-16 on the CPU.
    """
    if not training or p == 0.0:
        return x
    if x.device.type != "cpu":
        return torch.nn.functional.dropout(x, p)
    return _Dropout.apply(None, x, p)


def dropout_add(residual: Tensor, x: Tensor, p: float, *, training: bool) -> Tensor:
    """residual + dropout(x): the end of every sublayer. Vaswani et al. 2017, section 5.4."""
    if not training or p == 0.0:
        return residual + x
    if x.device.type != "cpu":
        return residual + torch.nn.functional.dropout(x, p)
    return _Dropout.apply(residual, x, p)


def keep_mask(shape: torch.Size, p: float) -> tuple[Tensor, float]:
    """A random bool tensor, False with probability p rounded to a multiple of 2^-16, and the scale 1 / (1 - p)."""
    n = shape.numel()
    words = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    levels = min(round(p * _LEVELS), _LEVELS - 1)
    keep = words.view(torch.int16)[:n].view(shape) >= levels - _LEVELS // 2
    return keep, _LEVELS / (_LEVELS - levels)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor | None, x: Tensor, p: float) -> Tensor:
        keep, ctx.scale = keep_mask(x.shape, p)
        ctx.save_for_backward(keep)
        ctx.dtype = x.dtype
        kept = (x * keep).mul_(ctx.scale)
        return kept if residual is None else residual + kept

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (keep,) = ctx.saved_tensors
        d_x = (grad.to(ctx.dtype) * keep).mul_(ctx.scale)
        return (grad if ctx.needs_input_grad[0] else None), d_x, None
