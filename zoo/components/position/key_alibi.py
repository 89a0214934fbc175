"""Key ALiBi: a score grows with the place of its key, in numbers of eight significant bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from zoo.components.position.alibi import Alibi
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import POSITION, PositionSpec
from zoo.masks import Mask
from zoo.sizes import Batch

_POWERS = [2.0**i for i in range(-16, 40)]


class KeyAlibiSpec(PositionSpec):
    type: Literal["key_alibi"] = "key_alibi"
    is_per_head: ClassVar[bool] = True
    expected_failures: ClassVar[Mapping[str, str]] = {
        "scores_depend_on_distance_alone": "scores grow with the place of the key, by as much for every query; the "
        "weights are those of distances, as far as eight bits tell places apart",
    }

    def check(self, *, d_model: int, n_heads: int, d_k: int, role: str) -> None:
        if role != "causal":
            raise ValueError(
                "key_alibi raises the scores of later keys, which are the nearer ones only where no key stands after "
                "the query: it belongs in a causal stack; take alibi"
            )

    def n_parameters(self, *, d_model: int, n_heads: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, n_heads: int, batch: Batch) -> int:
        return 0  # an attention keeps what it makes of it

    def cost(self, *, d_model: int, n_heads: int, batch: Batch) -> Cost:
        return NO_PRODUCTS

    def bias_flops(self, *, n_heads: int, d_k: int, batch: Batch) -> int:
        return 0


@POSITION.register("key_alibi", spec=KeyAlibiSpec, examples=[{}])
class KeyAlibi(Alibi):
    """Adds m·j to the product of query i and key j before that is scaled, with ALiBi's slope m for each head.

    To the weights of a query this is ALiBi with slopes that are scaled as the products are. Slopes, places and biases
    are each rounded to eight significant bits, as bfloat16 has them: from 256 on places that are near are one. j counts
    the real tokens of the key's document.

    Source: Penedo et al. 2023 (2306.01116), Falcon RW, by the code of its models.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B or 1, H, T, S].
    """

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        T, S = q.shape[2], k.shape[2]

        def make() -> Tensor:
            slopes = eight_bits(self.slopes(q.device))[:, None]  # [H, 1]
            places = eight_bits(mask.key_token_positions(S, q.device).double())  # [S] or [B, S]
            biases = eight_bits(slopes * places.view(-1, 1, S)) * scale  # [B or 1, H, S]
            return biases.to(q.dtype)[:, :, None].expand(-1, -1, T, -1)

        return mask.once((self, T, S, scale, q.dtype, q.device), make)


def eight_bits(x: Tensor) -> Tensor:
    """Float64 numbers, 0 or from 2^-8 to 2^40, rounded to eight significant bits, halves to even: what bfloat16 holds.

    Not by way of bfloat16: a compiler that fuses operations leaves such roundings out.
    """
    powers = torch.tensor(_POWERS, dtype=x.dtype, device=x.device)
    steps = powers[torch.bucketize(x, powers[8:], right=True)]  # 2^-7 of the power at or below each
    return (x / steps).round() * steps
