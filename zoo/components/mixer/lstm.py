"""Long short-term memory."""

from __future__ import annotations

from typing import Literal

from registry import Spec
from zoo.components.mixer._directions import Direction
from zoo.components.mixer._recurrent import Recurrent, RecurrentSpec
from zoo.costs import Cost
from zoo.kinds import MIXER
from zoo.sizes import Batch


class LSTMSpec(RecurrentSpec):
    type: Literal["lstm"] = "lstm"

    def n_parameters(self, *, d_model: int) -> int:
        return self.n_recurrent(d_model, "lstm")

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        H = self.d_hidden or d_model
        # Gates, cells and outputs; oneDNN has a place of work besides, whose rows are those of the wider side.
        return self.n_kept_recurrent(
            d_model, batch, 11 * H + 6 * max(d_model, H) if batch.is_on_cpu else 8 * H
        )

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return self.cost_recurrent(d_model, "lstm", role, batch)


@MIXER.register(
    "lstm",
    spec=LSTMSpec,
    examples=[{}, {"d_hidden": 5, "bias": False}, {"d_hidden": 7, "direction": "both"}],
)
class LSTM(Recurrent):
    """A memory cell that gates write, keep and read: c = f ⊙ c + i ⊙ g, h = o ⊙ tanh c.

    i, f, o = σ(W x + U h + b) each, g = tanh(W x + U h + b); h is the output.

    Source: Hochreiter and Schmidhuber 1997; with the forget gate of Gers et al. 2000, as in torch.nn.LSTM; two
        directions: Graves and Schmidhuber 2005.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, d_hidden: int | None, direction: Direction, bias: bool) -> None:
        super().__init__("lstm", d_model=d_model, d_hidden=d_hidden, direction=direction, bias=bias)
