"""A feed-forward network whose hidden values are squared and gated by themselves.

Next:
    pytest test_my_part.py
    zoo conform ffn/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.encoder.layer.ffn.type=my_part
"""

from typing import Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor, nn
from zoo.kinds import FFN, Role


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    d_ff: int = Field(128, ge=1)
    """Width of the hidden layer."""

    # Optional: check(self, *, d_model) raises ValueError for what the part cannot do;
    # n_parameters(self, *, d_model), n_kept and cost, see zoo.sizes and zoo.costs: without
    # them the part is counted on the meta device.


@FFN.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"d_ff": 7}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """max(0, x W₁)² W₂, at each position alike.

    Shapes: x [B, T, D] -> [B, T, D].
    """

    # The spec's fields and the kind's context, d_model: keyword-only, without defaults.
    def __init__(self, *, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.outer = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(x)) ** 2)

    # Optional: what the matrices are for, which some initializations ask.
    def roles(self) -> dict[nn.Module, Role]:
        """See zoo.kinds.Role."""
        return {self.inner: "residual_input", self.outer: "residual_output"}

    # Optional: `auxiliary_loss`, what its last forward in training adds to the loss.
