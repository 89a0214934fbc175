"""Gated recurrent unit."""

from __future__ import annotations

from typing import Literal

from registry import Spec
from zoo.components.mixer._directions import Direction
from zoo.components.mixer._recurrent import Recurrent, RecurrentSpec
from zoo.costs import Cost
from zoo.kinds import MIXER
from zoo.sizes import Batch


class GRUSpec(RecurrentSpec):
    type: Literal["gru"] = "gru"

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_recurrent(d_model, "gru")

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return self.n_kept_recurrent(d_model, batch, 7 * (self.d_hidden or d_model))

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return self.cost_recurrent(d_model, "gru", role, batch)


@MIXER.register(
    "gru",
    spec=GRUSpec,
    examples=[
        {},
        {"d_hidden": 5, "bias": False, "direction": "backwards"},
        {"d_hidden": 7, "direction": "both"},
    ],
)
class GRU(Recurrent):
    """A state that a gate mixes with its successor: h = z ⊙ h + (1 - z) ⊙ n.

    r, z = σ(W x + b + U h + b') each, n = tanh(W x + b + r ⊙ (U h + b')); h is the output.

    Source: Cho et al. 2014.
    Differs: the reset gate r is applied after the product with the state, as torch.nn.GRU has it (the first version of
        the paper, and what cuDNN computes); the paper's own is U (r ⊙ h).
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, d_hidden: int | None, direction: Direction, bias: bool) -> None:
        super().__init__("gru", d_model=d_model, d_hidden=d_hidden, direction=direction, bias=bias)
