"""A Fourier transform in place of attention: nothing to learn, and every position sees all."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, Mixing, Order
from zoo.kernels.common import without_autocast
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class FourierSpec(MixerSpec):
    type: Literal["fourier"] = "fourier"

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role == "causal":
            raise ValueError(
                "a Fourier transform sees the whole sequence, so a decoder cannot have it; take another mixer, such as "
                "convolution"
            )

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return 0

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        order = Order("n·d·log n + n·d·log d", "1", "1", "Lee-Thorp et al. 2021, section 3.2")
        return Cost(mixing=Mixing(order))  # a fast transform has no products of matrices


@MIXER.register("fourier", spec=FourierSpec, examples=[{}])
class Fourier(nn.Module):
    """The real part of the discrete Fourier transform over positions and over features, not scaled.

    Source: Lee-Thorp et al. 2021 (FNet, 2105.03824), equation 3.
    Differs: each document is transformed at its own length, so that padding and other documents have no influence; the
        authors transform padding with the tokens. That takes O(T²·D) by products with sines and cosines, in place of
        O(T·log T·D) where every place of every row is real and there are no documents.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, *, mask: Mask, position: Position | None, cache: None) -> Tensor:
        strips = strips_of(mask, x)
        rows = strips.split(x)
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))  # transforms know no bfloat16
        if strips.lengths is None:
            return torch.fft.fft2(wide, dim=(1, 2)).real.to(x.dtype)
        features = torch.fft.fft(wide, dim=2)  # [N, L, D]
        cosines, sines = _tables(strips.lengths, wide.shape[1], wide.dtype)
        with without_autocast(x.device):
            out = cosines @ features.real + sines @ features.imag
        return strips.join(out.to(x.dtype))

    def new_cache(self) -> None:
        """It stands where nothing is written."""


def _tables(lengths: Tensor, L: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin of 2π·s·t / n for each strip of n tokens: [N, L, L]; beyond it they meet zeros, or are not read."""
    places = torch.arange(L, device=lengths.device)
    n = lengths.clamp(min=1)[:, None, None]
    turns = (places[:, None] * places) % n  # in whole numbers, which lose nothing
    angles = turns.to(dtype) * (2 * math.pi / n.to(dtype))
    return angles.cos(), angles.sin()
