"""Series of numbers as sequences of patches."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.levels import Scaling, level_of
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
    left_out: Literal["end", "start"] = "end"
    """Where values are in no patch, if the patches do not use them all: behind the last or before the first."""
    bias: bool = True
    """Whether the projection of a patch adds a bias."""
    class_token: bool = False
    """Whether a learned vector stands before the patches, for a head to read."""
    scaling: Scaling = "none"
    """How a series is brought to a level before it is cut, which what a head forecasts of it is given back: less its
    mean, by its deviation (standard, as RevIN), or by the mean of its sizes (mean_size)."""
    scaling_eps: float = Field(1e-5, gt=0, le=1)
    """Added to the variance in standard scaling; the least scale in that by mean_size."""

    @property
    def n_patches(self) -> int:
        """Patches of a series."""
        return (self.series_length + self.pad_end * self.stride - self.patch_len) // self.stride + 1

    @property
    def length(self) -> int:
        """N: patches of a series, and the class token."""
        return self.class_token + self.n_patches

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
        return self.class_token * d_model + linear_size(self.patch_len, d_model, bias=self.bias)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * self.patch_len

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        forward = product(batch.n_rows * self.n_patches, self.patch_len, d_model)
        return trained(forward, "2·patches·patch_len·D", n_raw=forward)


@EMBEDDING.register(
    "series_patches",
    spec=SeriesPatchesSpec,
    examples=[
        {"series_length": 11, "patch_len": 4, "stride": 3},
        {"series_length": 12, "patch_len": 4, "stride": 4, "pad_end": False, "bias": False},
        {"series_length": 9, "patch_len": 4, "stride": 3, "left_out": "start", "scaling": "standard"},
        {"series_length": 9, "patch_len": 3, "stride": 2, "class_token": True, "scaling": "mean_size"},
    ],
)
class SeriesPatches(nn.Module):
    """A linear map of every patch of a series of one variable, where asked after a class token.

    Source: Nie et al. 2023 (PatchTST), section 3.1: each variable is a sequence of its own, all through the same
        weights. Without pad_end the values that do not fill a patch are left out. Scaling: Kim et al. 2022 (RevIN),
        without learned weights; class token, scaling by sizes and what is left out as transformers has them.
    Differs: positions are the stack's.
    Shapes: inputs [B, T], T the spec's series_length -> [B, N, D], N the spec's `length`; no mask, for all series have
        one length.
    Raises: ValueError for series of another length or of integers, and for a mask or types.
    """

    def __init__(
        self,
        *,
        d_model: int,
        series_length: int,
        patch_len: int,
        stride: int,
        pad_end: bool,
        left_out: Literal["end", "start"],
        bias: bool,
        class_token: bool,
        scaling: Scaling,
        scaling_eps: float,
    ) -> None:
        super().__init__()
        self.series_length = series_length
        self.patch_len = patch_len
        self.stride = stride
        self.n_repeated = stride if pad_end else 0
        over = (series_length + self.n_repeated - patch_len) % stride
        self.first = over if left_out == "start" else 0
        self.scaling: Scaling = scaling
        self.scaling_eps = scaling_eps
        self.projection = Linear(patch_len, d_model, bias=bias)
        self.class_token = nn.Parameter(torch.empty(1, d_model)) if class_token else None
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        if self.class_token is not None:
            nn.init.normal_(self.class_token, std=0.02)

    def level(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale of series, each [B, 1], by which they are standardised: see zoo.components.levels."""
        return level_of(inputs, self.scaling, self.scaling_eps)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.shape[1:] != (self.series_length,) or not inputs.is_floating_point():
            raise ValueError(
                f"series must be floats [B, {self.series_length}], not {inputs.dtype} {list(inputs.shape)}"
            )
        if mask is not None or types is not None:
            raise ValueError("a series has no padding and no token types: give neither mask nor types")
        x = inputs
        if self.scaling != "none":
            mean, scale = self.level(inputs)
            x = ((inputs - mean) / scale).to(inputs.dtype)
        x = torch.cat([x, x[:, -1:].expand(-1, self.n_repeated)], dim=1)
        patches = x[:, self.first :].unfold(1, self.patch_len, self.stride)  # [B, patches, patch_len]
        x = self.projection(patches)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        return x, None
