"""A norm that divides by the mean of the absolute values.

Next:
    pytest test_my_part.py
    zoo conform norm/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.encoder.layer.norm=my_part
"""

from typing import Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor, nn
from zoo.kinds import NORM


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    eps: float = Field(1e-6, gt=0, le=1)
    """Added to the mean."""

    # Optional: check(self, *, d_model) raises ValueError for what the part cannot do;
    # n_parameters(self, *, d_model), n_kept and cost, see zoo.sizes and zoo.costs: without
    # them the part is counted on the meta device.


@NORM.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"eps": 1e-3}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """x / (mean |x| + eps) · gain, over D.

    Shapes: x [B, T, D] -> [B, T, D].
    """

    # The spec's fields and the kind's context, d_model: keyword-only, without defaults.
    def __init__(self, *, d_model: int, eps: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(
            x.dtype, torch.float32
        )  # a mean in bfloat16 is rough
        means = x.to(wide).abs().mean(-1, keepdim=True)  # [B, T, 1]
        return (x / (means + self.eps)).to(x.dtype) * self.gain
