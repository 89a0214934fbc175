"""A mixer that takes the mean of all tokens so far, after a learnt map.

Next:
    pytest test_my_part.py
    zoo conform mixer/my_part --plugin my_part.py
    zoo train char_gpt --scale tiny --plugin my_part.py model.decoder.layer.mixer=my_part
"""

from typing import Literal

import torch
from registry import Spec
from torch import Tensor, nn
from zoo.kernels.cache import StateCache
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position
from zoo.masks import Mask


class MyPartSpec(MixerSpec):
    type: Literal["my_part"] = "my_part"
    # A field of your own: `width: int = Field(3, ge=1)`, with a docstring below it, and a
    # parameter of that name below.

    # Role is "self" or "causal"; what the part cannot do it says here.
    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        pass

    # Optional: `reads: ClassVar = ("rotate",)` if it calls hooks of positions (by default
    # none), `reads_memory: ClassVar = True` if it looks at an encoder's output itself;
    # n_parameters(self, *, d_model), n_kept and cost, see zoo.sizes and zoo.costs.


@MIXER.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """The mean of what a linear map makes of the tokens so far, or of all where it may.

    Shapes: x [B, T, D] -> [B, T, D].
    """

    # The spec's fields and the kind's context, d_model: keyword-only, without defaults.
    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_model)
        self.outer = nn.Linear(d_model, d_model)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Mask,
        position: Position | None,
        cache: StateCache | None,
    ) -> Tensor:
        # Strips are documents side by side: real tokens first, zeros behind them.
        strips = strips_of(mask, x)
        inner = self.inner(strips.split(x))  # [N, L, D]
        counted = torch.cat([inner, torch.ones_like(inner[..., :1])], dim=-1)
        sums = strips.cleared(counted).cumsum(1)  # [N, L, D + 1]
        if cache is not None:
            kept = sums.new_zeros(x.shape[0], sums.shape[2])
            if cache.state is not None:
                kept = cache.state[0]  # [B, D + 1], of the tokens so far
            sums = sums + strips.begin(kept)[:, None]
            cache.state = (strips.end(sums[:, -1], kept).clone(),)
        if not mask.causal:
            sums = sums[:, -1:].expand_as(sums)
        means = sums[..., :-1] / sums[..., -1:].clamp(min=1)
        return self.outer(strips.join(means))

    def new_cache(self) -> StateCache:
        """What it keeps of the tokens so far, in a search: their sum and their number."""
        return StateCache()

    # Optional: roles(), what its matrices are for, see zoo.kinds.Role; draw_first_values()
    # for what no linear map draws.
