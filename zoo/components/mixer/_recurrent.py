"""What recurrent mixers share: a recurrence in one direction by torch's kernel, and one or two of them in a layer."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from zoo.components.mixer._directions import Direction, Directions, DirectionsSpec, Scan, State
from zoo.costs import TABLE_1, Cost, Order, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import Role
from zoo.sizes import Batch, linear_size

Cell = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]

RECURRENT = Order("n·d²", "n", "n", TABLE_1)

N_GATES: dict[Cell, int] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Products of the input, and of the state, that a step of the cell takes."""
_KERNELS: dict[Cell, Any] = {
    "lstm": torch.lstm,
    "gru": torch.gru,
    "rnn_tanh": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}


class RecurrentSpec(DirectionsSpec):
    """Fields shared by the recurrent mixers."""

    d_hidden: int | None = Field(None, ge=1, le=65536)
    """Size of the state, in each direction; None: d_model. Where all directions together give another width than
    d_model, they are projected to it."""
    direction: Direction = "forwards"
    """Whether it reads from the first token on, from the last back, or both, with weights of its own for each. Both
    together give 2·d_hidden values."""
    bias: bool = True
    """Whether the products of the input and of the state, and the projection, add a bias, as torch's do."""

    def is_projected(self, d_model: int) -> bool:
        """Whether what the recurrences give is no [.., D] yet."""
        return self.n_directions * (self.d_hidden or d_model) != d_model

    def n_recurrent(self, d_model: int, cell: Cell) -> int:
        """The parameters of all directions and of the projection."""
        H, n_products, n = self.d_hidden or d_model, N_GATES[cell], self.n_directions
        own = linear_size(d_model, n_products * H, bias=self.bias)
        state = linear_size(H, n_products * H, bias=self.bias)
        projection = linear_size(n * H, d_model, bias=self.bias) if self.is_projected(d_model) else 0
        return n * (own + state) + projection

    def cost_recurrent(self, d_model: int, cell: Cell, role: str, batch: Batch) -> Cost:
        """Products of the input and of the state at every step; one direction alone never learns of what is to come."""
        D, H, n, G = d_model, self.d_hidden or d_model, self.n_directions, N_GATES[cell]
        forward = n * (product(batch.n_tokens, D, G * H) + product(batch.n_tokens, H, G * H))
        forward += product(batch.n_tokens, n * H, D) if self.is_projected(D) else 0
        return trained(
            forward,
            f"2·{n}·T·{G}·H·(D + H)" + (f" + 2·T·{n}·H·D" if self.is_projected(D) else ""),
            n_raw=n * product(batch.n_rows, H, G * H),  # the first state needs no gradient
            cached=(2 if cell == "lstm" else 1) * H if role == "causal" else 0,
            mixing=self.mixing(RECURRENT, role, batch.length, n_steps=batch.length),
        )

    def n_kept_recurrent(self, d_model: int, batch: Batch, n_values: int) -> int:
        """What is kept of the input, in each direction, with n_values a token, and of what is projected."""
        H, n = self.d_hidden or d_model, self.n_directions
        return batch.n_tokens * n * (d_model + n_values + (H if self.is_projected(d_model) else 0))


class Recurrence(Scan):
    """A recurrence in one direction, by torch's kernel; its matrices are linear maps, so that they are set as such.

    Shapes: rows [N, L, D], state of one tensor [N, H], two of an lstm -> out [N, L, H] and the state at the end.
    """

    def __init__(self, cell: Cell, *, d_model: int, d_hidden: int, bias: bool) -> None:
        super().__init__()
        self.cell = cell
        self.input = Linear(d_model, N_GATES[cell] * d_hidden, bias=bias)
        self.recurrent = Linear(d_hidden, N_GATES[cell] * d_hidden, bias=bias)

    def new_state(self, n: int) -> State:
        """The state of n sequences before their first token: zeros."""
        weight = self.recurrent.weight
        return tuple(weight.new_zeros(n, weight.shape[1]) for _ in range(2 if self.cell == "lstm" else 1))

    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        state = self.new_state(rows.shape[0]) if state is None else state
        if (
            valid is None or rows.shape[1] == 1
        ):  # whoever gives one place that is none keeps its state himself
            return self._run(rows, None, state)
        lengths = valid.sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
        there, back = packed.sorted_indices, packed.unsorted_indices
        assert there is not None
        data, state = self._run(packed.data, packed.batch_sizes, tuple(one[there] for one in state))
        padded, _ = pad_packed_sequence(
            PackedSequence(data, packed.batch_sizes, there, back),
            batch_first=True,
            total_length=rows.shape[1],
        )
        return padded, tuple(one[back] for one in state)

    def _run(self, x: Tensor, batch_sizes: Tensor | None, state: State) -> tuple[Tensor, State]:
        """One call of the kernel: x [N, L, D], or the data of a packed sequence with its batch sizes."""
        weights = [self.input.weight, self.recurrent.weight]
        if self.input.bias is not None:
            weights += [self.input.bias, self.recurrent.bias]
        hidden = [one[None] for one in state]
        given = hidden if self.cell == "lstm" else hidden[0]
        # n_layers, dropout, whether a backward pass may follow, whether it is bidirectional
        rest = (len(weights) == 4, 1, 0.0, torch.is_grad_enabled(), False)
        kernel = _KERNELS[self.cell]
        if batch_sizes is None:
            out, *after = kernel(x, given, weights, *rest, True)  # batch first
        else:
            out, *after = kernel(x, batch_sizes, given, weights, *rest)
        return out, tuple(one[0] for one in after)


class Recurrent(Directions):
    """A recurrence over each document, or one in each direction, and a projection where they give no [.., D].

    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self, cell: Cell, *, d_model: int, d_hidden: int | None, direction: Direction, bias: bool
    ) -> None:
        H = d_hidden or d_model
        super().__init__(
            lambda: Recurrence(cell, d_model=d_model, d_hidden=H, bias=bias), direction=direction
        )
        width = 2 * H if direction == "both" else H
        self.output = Linear(width, d_model, bias=bias) if width != d_model else None

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for; gates are rows of the same matrix as the content, and are set with it."""
        recurrences = [one for one in (self.forwards, self.backwards) if isinstance(one, Recurrence)]
        found: dict[nn.Module, Role] = {one.input: "residual_input" for one in recurrences}
        if self.output is not None:
            found[self.output] = "residual_output"
        return found

    def together(self, outs: list[Tensor]) -> Tensor:
        """Side by side [N, L, H or 2H], and projected."""
        joined = outs[0] if len(outs) == 1 else torch.cat(outs, dim=-1)
        return joined if self.output is None else self.output(joined)
