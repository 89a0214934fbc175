"""Series of numbers as steps that a decoder reads, and writes, one after the other."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import EMBEDDING
from zoo.sizes import Batch, linear_size


class SeriesStepsSpec(Spec):
    type: Literal["series_steps"] = "series_steps"
    patch_len: int = Field(16, ge=1, le=10**6)
    """Values of a step; 1: each value is one."""
    bias: bool = True
    """Whether the projection of a step adds a bias."""

    @property
    def values_per_place(self) -> int:
        """Values that a place stands for, and that no other place is told: what lets a decoder write them."""
        return self.patch_len

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask: three steps, none of them padded."""
        return torch.randn(batch, 3 * self.patch_len), None

    def n_parameters(self, *, d_model: int) -> int:
        return linear_size(self.patch_len, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * self.patch_len

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        forward = product(batch.n_tokens, self.patch_len, d_model)
        return trained(forward, "2·T·patch_len·D", n_raw=forward)


@EMBEDDING.register(
    "series_steps", spec=SeriesStepsSpec, examples=[{"patch_len": 4}, {"patch_len": 1, "bias": False}]
)
class SeriesSteps(nn.Module):
    """A linear map of every patch of a series of one variable; patches stand side by side.

    Source: Das et al. 2024 (TimesFM), section 4: patches as the tokens of a decoder.
    Differs: one linear map, as in Nie et al. 2023 (PatchTST), where TimesFM has a residual block; no mask of values.
    Shapes: inputs [B, T], T a multiple of the spec's patch_len -> [B, T / patch_len, D]; no mask.
    Raises: ValueError for series of another length or of integers, and for a mask or types.
    """

    def __init__(self, *, d_model: int, patch_len: int, bias: bool) -> None:
        super().__init__()
        self.patch_len = patch_len
        self.projection = Linear(patch_len, d_model, bias=bias)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.dim() != 2 or inputs.shape[1] % self.patch_len or not inputs.is_floating_point():
            raise ValueError(
                f"series must be floats [B, T], T a multiple of {self.patch_len}, not {inputs.dtype} "
                f"{list(inputs.shape)}"
            )
        if mask is not None or types is not None:
            raise ValueError("a series has no padding and no token types: give neither mask nor types")
        return self.projection(inputs.unflatten(1, (-1, self.patch_len))), None
