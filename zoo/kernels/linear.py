"""Linear maps on the CPU: through oneDNN where that beats what torch would take, and several of one input at once.

torch computes float32 products with MKL and bfloat16 ones with oneDNN. Both are true float32. The weight's gradient
stays with MKL: its operands lie the wrong way for oneDNN, and turning them costs what is won.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from zoo import hardware

# Multiplications from which a gradient of x by oneDNN saves more than turning the weight costs.
_LARGE = 1 << 27
# Weights in all up to which copying them behind each other costs less than a function of Python's own gradient.
_FEW = 1 << 17
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Linear(nn.Linear):
    """x Wᵀ + b, by the faster library."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch.nn.functional.linear: x [..., K], weight [N, K], bias [N] -> [..., N]."""
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if not prefers_onednn(x, weight, learns=learns) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    parameters = (weight,) if bias is None else (weight, bias)
    (out,) = _Linear.apply(x, 1, *parameters)
    return out


def lay_together(*maps: nn.Linear) -> None:
    """Lays the weights of maps of one input behind each other in memory, so that `linears` finds one matrix of them.

    Each stays a parameter of its own, to read, write, save, decay or freeze.
    """
    for name in ("weight", "bias"):
        parts = [getattr(each, name) for each in maps]
        if any(part is None or part.is_meta for part in parts):
            continue
        whole = torch.cat([part.detach() for part in parts])
        for part, piece in zip(parts, whole.split([len(part) for part in parts]), strict=True):
            part.data = piece


def linears(x: Tensor, *maps: nn.Linear) -> tuple[Tensor, ...]:
    """What each map makes of x [..., K]: [..., N] for each, by one product on the CPU where they lie together.

    They do from `lay_together` on until a weight gets other memory, as by `.to(device)` or a copy; in training they are
    then put together each time, so that it gives the same numbers wherever the weights lie, and else each is alone.
    One product in place of three saves calls, the sums of three gradients of x, and reading x three times.
    """
    if not _multiply_as_one(x, maps):
        return tuple(each(x) for each in maps)
    weights: list[Tensor] = [each.weight for each in maps]
    biases: list[Tensor] = [each.bias for each in maps if each.bias is not None]
    inputs, sizes = x.shape[-1], [len(weight) for weight in weights]
    if not copies_weights(x.numel() // inputs, inputs, sum(sizes), learns=torch.is_grad_enabled()):
        return _Linear.apply(x, len(maps), *weights, *biases)
    return F.linear(x, torch.cat(weights), torch.cat(biases) if biases else None).split(sizes, dim=-1)


def copies_weights(rows: int, inputs: int, outputs: int, *, learns: bool) -> bool:
    """Whether `linears` of one product copies its weights, and so keeps the copy for the backward pass: only few."""
    return inputs * outputs <= _FEW and not hardware.onednn_pays(rows, inputs, outputs, learns=learns)


def _multiply_as_one(x: Tensor, maps: Sequence[nn.Linear]) -> bool:
    biases = [each.bias for each in maps if each.bias is not None]
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and all(type(each) is Linear and each.weight.dtype == x.dtype for each in maps)
        and not any(vars(each)[name] for each in maps for name in _HOOKS)
        and (not biases or len(biases) == len(maps))
        and all(_can_join(parts) for parts in ([each.weight for each in maps], biases))
    )


def _can_join(parts: Sequence[Tensor]) -> bool:
    """Whether they are plain parameters of which all learn or none does, and either lie together or learn now."""
    if not all(type(part) is nn.Parameter for part in parts):
        return False  # the stand-in of a transformation, which has no memory
    if len({part.requires_grad for part in parts}) > 1:
        return False
    return not parts or (parts[0].requires_grad and torch.is_grad_enabled()) or _lie_together(parts)


def _lie_together(parts: Sequence[Tensor]) -> bool:
    """Whether each begins in memory where the one before ends."""
    return all(part.is_contiguous() for part in parts) and all(
        one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        and one.storage_offset() + one.numel() == other.storage_offset()
        for one, other in pairwise(parts)
    )


def prefers_onednn(x: Tensor, weight: Tensor, *, learns: bool = False) -> bool:
    """Whether a product of the two goes to oneDNN by `product` rather than to torch's own choice.

    learns: whether it would get a gradient of Python's for that alone.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and not torch.compiler.is_compiling()
        and hardware.onednn_pays(x.numel() // x.shape[-1], *weight.shape, learns=learns)
    )


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b by oneDNN, without a gradient: contiguous float32 x [M, K], weight [N, K] -> [M, N]."""
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    """x [..., K], n weights [N, K] and n biases [N] or none -> n times [..., N], of one memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, n: int, *parameters: Tensor) -> tuple[Tensor, ...]:
        weights, biases = parameters[:n], parameters[n:]
        weight, bias = _whole(weights), _whole(biases) if biases else None
        rows = x.reshape(-1, x.shape[-1])  # [M, K]
        if prefers_onednn(rows, weight):
            rows = rows.contiguous()
            out = product(rows, weight, bias)
        else:
            out = F.linear(rows, weight, bias)
        ctx.save_for_backward(rows, *weights)
        ctx.shape, ctx.has_biases = x.shape, bool(biases)
        return out.view(*x.shape[:-1], len(weight)).split([len(each) for each in weights], dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        rows, *weights = ctx.saved_tensors
        grad = torch.cat(grads, dim=-1) if len(grads) > 1 else grads[0]
        grad = grad.reshape(rows.shape[0], grad.shape[-1]).contiguous()  # [M, N]
        needs_x, _, needs_weights = ctx.needs_input_grad[:3]
        d_x = _back(grad, _whole(weights)).view(ctx.shape) if needs_x else None
        sizes = [len(each) for each in weights]
        nothing = (None,) * len(sizes)
        d_weights = (grad.t() @ rows).split(sizes) if needs_weights else nothing
        if not ctx.has_biases:
            return d_x, None, *d_weights
        d_biases = grad.sum(0).split(sizes) if ctx.needs_input_grad[-1] else nothing
        return d_x, None, *d_weights, *d_biases


def _back(grad: Tensor, weight: Tensor) -> Tensor:
    """grad [M, N] · weight [N, K] -> [M, K]."""
    if grad.numel() * weight.shape[1] >= _LARGE and prefers_onednn(grad, weight):
        return product(grad, weight.t().contiguous())
    return grad @ weight


def _whole(parts: Sequence[Tensor]) -> Tensor:
    """Parts as one: seen as it where they lie together, else a copy."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if not _lie_together(parts):
        return torch.cat(list(parts))
    return first.as_strided((sum(len(part) for part in parts), *first.shape[1:]), first.stride())
