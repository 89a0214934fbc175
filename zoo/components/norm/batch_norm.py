"""Normalization of each component over all places of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import NORM
from zoo.sizes import Batch


class BatchNormSpec(Spec):
    type: Literal["batch_norm"] = "batch_norm"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "a_row_alone_equals_the_row_in_a_batch": "in training a batch is normalised by its own mean and variance",
    }
    eps: float = Field(1e-5, gt=0, le=1)
    """Added to the variance."""
    momentum: float = Field(0.1, gt=0, le=1)
    """Share of the running statistics that a batch replaces, in training."""

    def n_parameters(self, *, d_model: int) -> int:
        return 2 * d_model

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * d_model + 2 * d_model

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return NO_PRODUCTS


@NORM.register("batch_norm", spec=BatchNormSpec, examples=[{}, {"eps": 1e-3, "momentum": 0.3}])
class BatchNorm(nn.Module):
    """(x - mean) / √(variance + eps) · gain + bias, each component by the mean and variance of its values.

    In training these are of all places of the batch, and the running ones, which are buffers, move towards them (the
    unbiased variance); in evaluation these are the running ones, so that each place is worked out by itself. A causal
    stack in training thus sees a little of the future: the mean and variance of tokens that come later.
    Source: Ioffe and Szegedy 2015; over all places of all rows Zerveas et al. 2021 and Nie et al. 2023 (PatchTST).
    Differs: padding is not told from tokens, so that in training it counts in the statistics: for rows of one length.
        On several devices each batch is one device's, and the first device's running statistics are kept.
    Shapes: x [B, T, D] -> [B, T, D].
    Raises: ValueError in training for a batch of one place, which has no variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, *, d_model: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.register_buffer("running_mean", torch.zeros(d_model))
        self.register_buffer("running_var", torch.ones(d_model))
        self.eps = eps
        self.momentum = momentum

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[:-1].numel() == 1:
            raise ValueError(
                "batch_norm in training needs two places or more, for one has no variance; give the batch further rows"
            )
        normed = F.batch_norm(
            x.flatten(0, -2),  # [B·T, D]
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        return normed.view_as(x)
