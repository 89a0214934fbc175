"""ALiBi: the farther a key, the lower its score."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch


class AlibiSpec(PositionSpec):
    type: Literal["alibi"] = "alibi"
    is_per_head: ClassVar[bool] = True

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0  # an attention keeps what it makes of it

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return 0


@POSITION.register("alibi", spec=AlibiSpec, examples=[{}])
class Alibi(Position):
    """Takes m·|i - j| off the score of query i and key j, with a slope m for each head. Nothing is learned.

    Source: Press et al. 2022, section 3; slopes for a number of heads that is no power of two by their code.
    Differs: where keys after the query are seen too they are lowered alike, as the authors propose for encoders.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B or 1, H, T, S].
    """

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        T, S = q.shape[2], k.shape[2]

        def make() -> Tensor:
            wide = torch.promote_types(q.dtype, torch.float32)
            slopes = self.slopes(q.device).to(wide)[:, None, None]
            return (-slopes * mask.distances(T, S, q.device).abs()).to(q.dtype)  # [B or 1, H, T, S]

        return mask.once((self, T, S, q.dtype, q.device), make)

    def slopes(self, device: torch.device) -> Tensor:
        """m of each head, float64 [H]: 2^(-8i/n) for i = 1 to n, the largest power of two within H.

        The other heads' slopes lie between those: the first, third, fifth... of the 2n slopes for 2n heads.
        """
        n = 1 << (self.n_heads.bit_length() - 1)
        counts = torch.arange(n, dtype=torch.float64, device=device)
        between = 2 * counts[: self.n_heads - n] + 1
        return torch.exp2(-torch.cat([(counts + 1) * 8 / n, between * 4 / n]))
