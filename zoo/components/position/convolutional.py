"""wav2vec's positions: a wide grouped convolution over the input, added to it."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zoo.costs import Cost, product, trained
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch

_SEES_AHEAD = (
    "convolutional positions look at later frames, which a causal stack may not see; use them in an encoder"
)


class ConvolutionalSpec(PositionSpec):
    type: Literal["convolutional"] = "convolutional"
    kernel_size: int = Field(128, ge=1, le=65536)
    """Frames that each frame's position is read from, half of them on either side."""
    n_groups: int = Field(16, ge=1, le=65536)
    """Parts of the features that are convolved apart; must divide d_model."""

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if d_model % self.n_groups:
            raise ValueError(f"n_groups ({self.n_groups}) must divide d_model ({d_model})")
        if role == "causal":
            raise ValueError(_SEES_AHEAD)

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return d_model * (d_model // self.n_groups) * self.kernel_size + self.kernel_size + d_model

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        weight = 2 * d_model * (d_model // self.n_groups) * self.kernel_size
        return 2 * batch.n_tokens * d_model + weight

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        n_places = batch.length + 1 - self.kernel_size % 2
        forward = product(batch.n_rows * n_places, d_model // self.n_groups * self.kernel_size, d_model)
        return trained(forward, "2·T·D²·kernel_size / n_groups")


@POSITION.register(
    "convolutional",
    spec=ConvolutionalSpec,
    examples=[{"kernel_size": 4, "n_groups": 3}, {"kernel_size": 5, "n_groups": 1}],
)
class Convolutional(Position):
    """Adds gelu(convolution(x)), its kernel given by direction and length: w = gain · direction / ‖direction‖.

    The length of w is that over all features, one for each of the kernel's places. Padded frames are set to zero first.

    Source: Baevski et al. 2020, section 2, by the code of its authors; weight norm: Salimans and Kingma 2016.
    Shapes: embed x [B, T, D] -> [B, T, D].
    Raises: ValueError under a causal mask, for a step with a cache and for documents.
    """

    def __init__(self, *, d_model: int, n_heads: int, kernel_size: int, n_groups: int) -> None:
        super().__init__()
        self.n_groups = n_groups
        self.direction = nn.Parameter(torch.empty(d_model, d_model // n_groups, kernel_size))
        self.gain = nn.Parameter(torch.empty(1, 1, kernel_size))
        self.shift = nn.Parameter(torch.zeros(d_model))
        self.draw_first_values()

    @torch.no_grad()
    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        d_model, _, kernel_size = self.direction.shape
        nn.init.normal_(self.direction, std=2 / math.sqrt(kernel_size * d_model))  # as the authors' code
        self.gain.copy_(_length(self.direction))

    def embed(self, x: Tensor, *, mask: Mask) -> Tensor:
        if mask.causal or mask.offset:
            raise ValueError(_SEES_AHEAD)
        if mask.documents is not None:
            raise ValueError("a convolution mixes the documents of a row: give each a row of its own")
        if mask.positions is not None:
            raise ValueError("a convolution knows neighbours only and takes no positions given to a call")
        if mask.keys is not None:
            x = x.masked_fill(~mask.keys[..., None], 0)
        T, kernel_size = x.shape[1], self.direction.shape[2]
        weight = self.gain * self.direction / _length(self.direction)
        waves = F.conv1d(
            x.transpose(1, 2), weight, self.shift, padding=kernel_size // 2, groups=self.n_groups
        )  # [B, D, T], and a frame more for an even kernel
        return x + F.gelu(waves[..., :T].transpose(1, 2))


def _length(direction: Tensor) -> Tensor:
    """The length over all features, for each of the kernel's places: [D, D/G, kernel_size] -> [1, 1, kernel_size]."""
    # Not Tensor.norm: on the meta device that loads torch's compiler, which takes seconds.
    return direction.square().sum(dim=(0, 1), keepdim=True).sqrt()
