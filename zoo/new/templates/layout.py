"""A layout with a learnt gain on each branch, and the norm before it.

Next:
    pytest test_my_part.py
    zoo conform layout/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.encoder.layer.layout=my_part
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from registry import Spec
from torch import Tensor, nn
from zoo.kernels.dropout import dropout_add
from zoo.kinds import LAYOUT, NORM, LayoutSpec


class MyPartSpec(LayoutSpec):
    type: Literal["my_part"] = "my_part"
    ends_normed: ClassVar[bool] = False  # so a stack ends with a norm of its own
    # Optional: what pictures draw and counts know, see zoo.kinds.LayoutSpec.
    wiring: ClassVar[tuple[str, ...]] = ("fork", "norm", "sublayer", "× gain", "add")
    leaves_out: ClassVar[bool] = True  # a sublayer that is none, with its norm

    # Optional: check(self, *, norms) raises ValueError for what the part cannot do;
    # n_parameters(self, *, d_model, norms), n_kept and cost, see zoo.sizes and zoo.costs.


@LAYOUT.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """x = x + dropout(gain · sublayer(norm(x))) for each sublayer; gains start at 1/2.

    Shapes: x [B, T, D], sublayers [B, T, D] -> [B, T, D] each -> [B, T, D].
    """

    # The spec's fields and the kind's context: keyword-only, without defaults.
    def __init__(self, *, d_model: int, norms: Sequence[Spec], dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(NORM.build(norm, d_model=d_model) for norm in norms)
        self.gains = nn.Parameter(torch.full((len(norms),), 0.5))
        self.dropout = dropout

    def forward(
        self, x: Tensor, sublayers: Sequence[Callable[[Tensor], Tensor]]
    ) -> Tensor:
        for i, (norm, sublayer) in enumerate(zip(self.norms, sublayers, strict=True)):
            branch = self.gains[i] * sublayer(norm(x))
            x = dropout_add(x, branch, self.dropout, training=self.training)
        return x
