"""What a head's loss gives: sums, so that batches, their halves and the ranks' shares add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Learns = Literal["token", "value", "sequence", "numbers", "transcript"]
"""What a head learns from, said by its spec's `learns`, and so how its loss is called.

token: a label for each place, loss(hidden [N, D] of the places, labels int64 [N], *, label_smoothing).
value: numbers for each place, in units of its own where a scale is given,
    loss(hidden [N, D] of the places, values [N, n_outputs], *, scale [N]).
sequence: a label for each sequence, or one number where there is one class:
    loss(hidden [B, T, D], labels int64 [B] or values [B], *, mask, label_smoothing).
numbers: several numbers for each sequence, in units of its own where a scale is given,
    loss(hidden [B, T, D], values [B, n_outputs], *, mask, scale [B]).
transcript: labels of each sequence without their places,
    loss(hidden [B, T, D], labels int64 [B, L], *, mask, label_mask).
"""


@dataclass(frozen=True)
class Sums:
    """The loss of what was predicted, summed."""

    loss: Tensor
    """What is minimised, label smoothing included: an fp32 scalar with a gradient (of CTC in float64: float64)."""
    nll: Tensor
    """Negative log likelihood in nats, for numbers the squared error: without smoothing, and without a gradient."""
    count: int
    """Labels or numbers predicted: what the sums are divided by for a mean."""


def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float) -> Sums:
    """-log p(label) of logits [N, C] and labels int64 [N]; smoothing as in zoo.kernels.cross_entropy."""
    surprises = -torch.log_softmax(logits, dim=-1, dtype=torch.float32)  # [N, C]
    nll = surprises.gather(1, labels[:, None]).sum()
    uniform = surprises.mean(dim=-1).sum()
    return Sums((1 - label_smoothing) * nll + label_smoothing * uniform, nll.detach(), len(labels))


def squared_error(predicted: Tensor, values: Tensor, *, scale: Tensor | None = None) -> Sums:
    """(predicted - value)² of two tensors of one shape, each number counted; those of row i are in units of scale[i].

    Raises: ValueError for two shapes, which would be stretched to one another.
    """
    if predicted.shape != values.shape:
        raise ValueError(f"values must have the shape {list(predicted.shape)}, not {list(values.shape)}")
    predicted, values = predicted.float(), values.float()
    if scale is not None:
        predicted, values = predicted * scale[:, None], values * scale[:, None]
    loss = F.mse_loss(predicted, values, reduction="sum")
    return Sums(loss, loss.detach(), values.numel())
