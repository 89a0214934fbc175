"""The mean of the positions around in place of attention: nothing to learn."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._window import layers_until_all_meet, with_window
from zoo.costs import Cost, Mixing, Order
from zoo.kernels.cache import StateCache
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class PoolingSpec(MixerSpec):
    type: Literal["pooling"] = "pooling"
    width: int = Field(3, ge=2, le=1024)
    """Positions that a mean is taken over, its own and those around it, in tokens; before it where later ones are
    hidden."""

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return batch.n_tokens * 2 * (d_model + 1)  # the input and the means, each with its count

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return Cost(
            cached=(self.width - 1) * (d_model + 1) if role == "causal" else 0,
            mixing=Mixing(
                Order("k·n·d", "1", "n/k", "Yu et al. 2022, section 3"),
                n_layers=layers_until_all_meet(self.width, role, batch.length),
            ),
        )


@MIXER.register("pooling", spec=PoolingSpec, examples=[{}, {"width": 4}])
class Pooling(nn.Module):
    """The mean of the real positions in a window, minus the position itself, which the residual sum adds again.

    Source: Yu et al. 2022 (PoolFormer, 2111.11418), equation 4.
    Differs: the window lies on one axis; a causal one sees positions t - width + 1 to t.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(
        self, x: Tensor, *, mask: Mask, position: Position | None, cache: StateCache | None
    ) -> Tensor:
        strips = strips_of(mask, x)
        # A feature of ones counts the places that are there.
        rows = strips.split(torch.cat([x, torch.ones_like(x[..., :1])], dim=-1))  # [N, L, D + 1]
        seen = with_window(rows, self.width, mask=mask, strips=strips, cache=cache)
        means = F.avg_pool1d(seen.transpose(1, 2), self.width, stride=1).transpose(1, 2)
        shares = means[..., -1:]  # at padded places there may be none
        means = means[..., :-1] / shares.masked_fill(shares == 0, 1)
        return strips.join(means - rows[..., :-1])

    def new_cache(self) -> StateCache:
        """The last width - 1 inputs, zeros at first."""
        return StateCache()
