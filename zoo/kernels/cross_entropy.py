"""Output projection and label-smoothed cross-entropy in one, without ever holding all logits.

In a small translation model the loss over the vocabulary is a quarter to a third of a training step when logits,
probabilities and their gradients each pass through memory. Here a chunk of rows goes through projection, softmax and
both gradient products while it is in the cache; the backward pass only scales what is there.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from zoo.kernels.linear import linear, prefers_onednn, product

CHUNK_BYTES = {"cpu": 128 << 20, "cuda": 256 << 20}
"""Most bytes of a chunk's logits. The more rows, the less often the weight's gradient passes through memory to be added
to; in bfloat16 with a large vocabulary those sums cost more than the products below some 500 rows."""
CACHE_BYTES = 8 << 20
"""Bytes of the fp32 probabilities that are worked on at once on the CPU: the best of 1 to 32 MB."""

_FEW_LOGITS = 1 << 17
"""Logits up to which they are made whole: keeping them costs less than the calls that avoid it."""


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Summed loss of the logits hidden·weightᵀ + bias: with label smoothing, and without.

    Source: label smoothing of Szegedy et al. 2016, equation 7, the uniform prior over all V labels as in
        torch.nn.functional.cross_entropy: (1 - ε)·(-log p[label]) + ε/V·Σ(-log p).
    Shapes: hidden [N, D], weight [V, D], labels int64 [N], bias [V] -> two fp32 scalars (loss, nll).
        Only the first has a gradient. Under autocast the products run in its dtype; softmax and sums in fp32.
    """
    needed = (hidden, weight) if bias is None else (hidden, weight, bias)
    dtype = hidden.dtype
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
    elif not label_smoothing and len(labels) * len(weight) <= _FEW_LOGITS and _are_float32(*needed):
        whole = F.cross_entropy(linear(hidden, weight, bias), labels, reduction="sum")
        return whole, whole.detach()
    with_gradients = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in needed)
    loss, nll = _LinearCrossEntropy.apply(
        hidden, weight, bias, labels, label_smoothing, dtype, with_gradients
    )
    return loss, nll


def _are_float32(*tensors: Tensor) -> bool:
    return all(tensor.dtype == torch.float32 for tensor in tensors)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        label_smoothing: float,
        dtype: torch.dtype,
        with_gradients: bool,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(hidden.device.type, enabled=False):
            h, w = hidden.to(dtype), weight.to(dtype)
            b = None if bias is None else bias.to(dtype)
            n, n_labels = h.shape[0], w.shape[0]
            by_onednn = prefers_onednn(h, w)
            h = h.contiguous()
            w_turned = w.t().contiguous() if by_onednn and with_gradients else None  # [D, V]
            on_cpu = h.device.type == "cpu"
            rows = max(128, CHUNK_BYTES["cpu" if on_cpu else "cuda"] // (h.element_size() * n_labels))
            part = max(1, CACHE_BYTES // (4 * n_labels)) if on_cpu else rows
            nll = h.new_zeros((), dtype=torch.float32)
            uniform = h.new_zeros((), dtype=torch.float32)  # Σ(-log p) / V over all rows
            w_mean = w.float().mean(0) if label_smoothing else None  # the mean logit of a row is h·w_mean
            d_hidden = torch.empty_like(h) if with_gradients else None
            d_weight: Tensor | None = None
            d_bias = torch.zeros_like(b, dtype=torch.float32) if with_gradients and b is not None else None
            for start in range(0, n, rows):
                h_chunk, chunk_labels = h[start : start + rows], labels[start : start + rows, None]
                if by_onednn:
                    logits = product(h_chunk, w, b)  # [rows, V]
                else:
                    logits = h_chunk @ w.t() if b is None else torch.addmm(b, h_chunk, w.t())
                if w_mean is not None:
                    uniform -= (h_chunk.float() @ w_mean).sum()
                    if b is not None:
                        uniform -= b.float().mean() * h_chunk.shape[0]
                for z, label in zip(logits.split(part), chunk_labels.split(part), strict=True):
                    p = torch.softmax(z, dim=-1, dtype=torch.float32)
                    # log Σexp(z) by way of the largest probability: log p[label] itself may underflow. Two amax, for
                    # a max that says where it is takes longer than both, on a CPU longer than the softmax.
                    log_sum = z.amax(dim=-1, keepdim=True).float() - p.amax(dim=-1, keepdim=True).log()
                    nll += (log_sum - z.gather(1, label).float()).sum()
                    if w_mean is not None:
                        uniform += log_sum.sum()
                    if with_gradients:
                        # The gradient of the loss with respect to the logits: p - (1 - ε)·onehot - ε/V.
                        if label_smoothing:
                            p.sub_(label_smoothing / n_labels)
                        p.scatter_add_(1, label, torch.full_like(label, label_smoothing - 1.0, dtype=p.dtype))
                        if d_bias is not None:
                            d_bias.add_(p.sum(0))
                        z.copy_(p)
                if d_hidden is None:
                    continue
                g = logits  # overwritten by their gradient
                if w_turned is None:
                    torch.mm(g, w, out=d_hidden[start : start + rows])
                else:
                    d_hidden[start : start + rows] = product(g, w_turned)
                if not weight.requires_grad:  # frozen: such as pretrained vectors that are tied
                    continue
                if d_weight is None:
                    d_weight = (g.t() @ h_chunk).float()
                elif dtype == torch.float32:
                    d_weight.addmm_(g.t(), h_chunk)
                else:
                    d_weight.add_(g.t() @ h_chunk)
            if with_gradients and weight.requires_grad and d_weight is None:  # there are no rows
                d_weight = torch.zeros_like(w, dtype=torch.float32)
            loss = (1 - label_smoothing) * nll + label_smoothing * uniform
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        if with_gradients:
            ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grads = (
            None if saved is None else (saved * d_loss.to(saved.dtype)).to(dtype)
            for saved, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*grads, None, None, None, None)
