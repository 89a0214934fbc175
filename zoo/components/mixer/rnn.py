"""The simple recurrence."""

from __future__ import annotations

from typing import Literal

from registry import Spec
from zoo.components.mixer._directions import Direction
from zoo.components.mixer._recurrent import Cell, Recurrent, RecurrentSpec
from zoo.costs import Cost
from zoo.kinds import MIXER
from zoo.sizes import Batch

_CELLS: dict[str, Cell] = {"tanh": "rnn_tanh", "relu": "rnn_relu"}


class RNNSpec(RecurrentSpec):
    type: Literal["rnn"] = "rnn"
    activation: Literal["tanh", "relu"] = "tanh"
    """Function of the sum that becomes the state."""

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_recurrent(d_model, "rnn_tanh")

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return self.n_kept_recurrent(d_model, batch, self.d_hidden or d_model)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return self.cost_recurrent(d_model, "rnn_tanh", role, batch)


@MIXER.register(
    "rnn",
    spec=RNNSpec,
    examples=[
        {},
        {"activation": "relu", "d_hidden": 5, "bias": False},
        {"d_hidden": 6, "direction": "both"},
    ],
)
class RNN(Recurrent):
    """h = tanh(W x + U h + b), from token to token.

    Source: Elman 1990, as in torch.nn.RNN; two directions: Schuster and Paliwal 1997.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        d_hidden: int | None,
        direction: Direction,
        bias: bool,
        activation: Literal["tanh", "relu"],
    ) -> None:
        super().__init__(
            _CELLS[activation], d_model=d_model, d_hidden=d_hidden, direction=direction, bias=bias
        )
