"""Linear maps through oneDNN where that beats what torch would take: float32 on the CPU, see zoo.hardware.

torch computes float32 products with MKL and bfloat16 ones with oneDNN. Both are true float32. The weight's gradient
stays with MKL: its operands lie the wrong way for oneDNN, and turning them costs what is won.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from zoo import hardware


class Linear(nn.Linear):
    """x Wᵀ + b, by the faster library."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch.nn.functional.linear: x [..., K], weight [N, K], bias [N] -> [..., N]."""
    if not prefers_onednn(x, weight) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)


def prefers_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether a product of the two goes to oneDNN by `product` rather than to torch's own choice."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.compiler.is_compiling()
        and x.numel() > 0
        and hardware.onednn_pays(x.numel() // x.shape[-1], *weight.shape)
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b by oneDNN, without a gradient: contiguous float32 x [M, K], weight [N, K] -> [M, N]."""
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).contiguous()  # [M, K]
        ctx.save_for_backward(rows, weight)
        ctx.shape = x.shape
        return product(rows, weight, bias).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        grad = grad.reshape(rows.shape[0], -1).contiguous()  # [M, N]
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        d_x = product(grad, weight.t().contiguous()).view(ctx.shape) if needs_x else None
        d_weight = grad.t() @ rows if needs_weight else None
        return d_x, d_weight, grad.sum(0) if needs_bias else None
