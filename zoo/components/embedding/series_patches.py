"""Series of numbers as sequences of patches."""

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


class SeriesPatchesSpec(Spec):
    type: Literal["series_patches"] = "series_patches"
    series_length: int = Field(ge=1, le=10**7)
    """Values of a series: how far a forecast looks back."""
    patch_len: int = Field(16, ge=1, le=10**6)
    """Values of a patch."""
    stride: int = Field(8, ge=1, le=10**6)
    """Values from the beginning of a patch to that of the next one; less than patch_len: they overlap."""
    pad_end: bool = True
    """Whether the last value is repeated `stride` times before the series is cut, which makes one patch more."""
    bias: bool = True
    """Whether the projection of a patch adds a bias."""

    @property
    def length(self) -> int:
        """N: patches of a series."""
        return (self.series_length + self.pad_end * self.stride - self.patch_len) // self.stride + 1

    def check(self, *, d_model: int) -> None:
        if self.patch_len > self.series_length:
            raise ValueError(
                f"patch_len ({self.patch_len}) must be at most series_length ({self.series_length})"
            )
        if self.stride > self.patch_len:
            raise ValueError(
                f"stride ({self.stride}) must be at most patch_len ({self.patch_len}), or values are never read"
            )

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask: series of one length have none."""
        return torch.randn(batch, self.series_length), None

    def n_parameters(self, *, d_model: int) -> int:
        return linear_size(self.patch_len, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * self.patch_len

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        forward = product(batch.n_tokens, self.patch_len, d_model)
        return trained(forward, "2·T·patch_len·D", n_raw=forward)


@EMBEDDING.register(
    "series_patches",
    spec=SeriesPatchesSpec,
    examples=[
        {"series_length": 11, "patch_len": 4, "stride": 3},
        {"series_length": 12, "patch_len": 4, "stride": 4, "pad_end": False, "bias": False},
    ],
)
class SeriesPatches(nn.Module):
    """A linear map of every patch of a series of one variable.

    Source: Nie et al. 2023 (PatchTST), section 3.1: each variable is a sequence of its own, all through the same
        weights. Without pad_end the values behind the last whole patch are left out.
    Differs: positions are the stack's.
    Shapes: inputs [B, T], T the spec's series_length -> [B, N, D], N the spec's `length`; no mask, for all series have
        one length.
    Raises: ValueError for series of another length or of integers, and for a mask or types.
    """

    def __init__(
        self, *, d_model: int, series_length: int, patch_len: int, stride: int, pad_end: bool, bias: bool
    ) -> None:
        super().__init__()
        self.series_length = series_length
        self.patch_len = patch_len
        self.stride = stride
        self.n_repeated = stride if pad_end else 0
        self.projection = Linear(patch_len, d_model, bias=bias)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.shape[1:] != (self.series_length,) or not inputs.is_floating_point():
            raise ValueError(
                f"series must be floats [B, {self.series_length}], not {inputs.dtype} {list(inputs.shape)}"
            )
        if mask is not None or types is not None:
            raise ValueError("a series has no padding and no token types: give neither mask nor types")
        x = torch.cat([inputs, inputs[:, -1:].expand(-1, self.n_repeated)], dim=1)
        patches = x.unfold(1, self.patch_len, self.stride)  # [B, N, patch_len]
        return self.projection(patches), None
