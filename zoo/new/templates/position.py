"""Positions by a bias: the farther a key, the lower its score, by a logarithm each head learns.

Next:
    pytest test_my_part.py
    zoo conform position/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.position=my_part
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo.kinds import POSITION, Position, PositionSpec
from zoo.masks import Mask


class MyPartSpec(PositionSpec):
    type: Literal["my_part"] = "my_part"
    is_per_head: ClassVar[bool] = True  # layers that share it have one number of heads

    # Optional: check(self, *, d_model, n_heads, d_k, role) raises ValueError for what the
    # part cannot do; n_parameters(self, *, d_model, n_heads) and others: see zoo.sizes.


@POSITION.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}],  # small specs, by which the laws try it
)
class MyPart(Position):
    """Takes softplus(a) · log(1 + |i - j|) off the score of query i and key j.

    Source: Chi et al. 2022 (KERPLE), the logarithmic variant with one learnt number a head.
    Shapes: bias q [B, H, T, K], k [B, G, S, K] -> [B or 1, H, T, S].
    """

    # The spec's fields and the kind's context: keyword-only, without defaults.
    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(n_heads))

    def bias(self, q: Tensor, k: Tensor, *, scale: float, mask: Mask) -> Tensor:
        """Adds to the scores."""
        distances = mask.distances(
            q.shape[2], k.shape[2], q.device
        )  # [B or 1, 1, T, S]
        return -F.softplus(self.slope)[
            None, :, None, None
        ] * distances.abs().log1p().to(q.dtype)

    # The other two hooks, each neutral where it is not overridden:
    #
    # def embed(self, x, *, mask): adds to the embeddings, x [B, T, D] -> [B, T, D]
    # def rotate(self, x, *, mask): turns queries and keys, x [B, H, T, K] -> the same;
    #     def rotate_keys(self, x, *, mask) too where keys turn otherwise
    #
    # Optional: `max_len`, the longest sequence that there are positions for.
