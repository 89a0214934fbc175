"""An LSTM that is told of the memory once, by the state that it starts from."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._memory import End, ReadingCache, end_of
from zoo.components.mixer._recurrent import RECURRENT, Recurrence
from zoo.costs import Cost, Mixing, product, trained
from zoo.kernels.cache import StateCache
from zoo.kernels.linear import Linear
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size


class SeededLSTMSpec(MixerSpec):
    type: Literal["seeded_lstm"] = "seeded_lstm"
    reads_memory: ClassVar[bool] = True
    start: End = "last"
    """Which vector of the memory the first state is a map of: `first` where the encoder reads from the end."""
    d_hidden: int | None = Field(None, ge=1, le=65536)
    """Size of the state; None: d_model. Another is projected to d_model."""
    bias: bool = True
    """Whether the products of the input and of the state, and the maps around them, add a bias."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role != "causal":
            raise ValueError("starts from a memory, which only a decoder has; take lstm here")

    def n_parameters(self, *, d_model: int) -> int:
        H = self.d_hidden or d_model
        maps = linear_size(d_model, 2 * H, bias=self.bias)
        maps += linear_size(H, d_model, bias=self.bias) if d_model != H else 0
        return maps + linear_size(d_model, 4 * H, bias=self.bias) + linear_size(H, 4 * H, bias=self.bias)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        H = self.d_hidden or d_model
        inside = 11 * H + 6 * max(d_model, H) if batch.is_on_cpu else 8 * H  # as of an lstm
        return batch.n_tokens * (d_model + inside + (H if d_model != H else 0))

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        D, H = d_model, self.d_hidden or d_model
        forward = product(batch.n_rows, D, 2 * H) + product(batch.n_tokens, D + H, 4 * H)
        forward += product(batch.n_tokens, H, D) if d_model != H else 0
        return trained(
            forward,
            "8·T·H·(D + H) + 4·D·H" + (" + 2·T·H·D" if d_model != H else ""),
            cached=4 * H,  # of the state and of what it starts from
            mixing=Mixing(RECURRENT, n_sequential=batch.length, n_steps=batch.length),
        )


@MIXER.register(
    "seeded_lstm",
    spec=SeededLSTMSpec,
    examples=[{}, {"start": "first", "d_hidden": 7}, {"d_hidden": 5, "bias": False}],
)
class SeededLSTM(nn.Module):
    """An LSTM whose state starts from one vector v of the memory: h = tanh(W v + b), c = V v + d.

    Source: Sutskever et al. 2014 (1409.3215), section 2: all that a decoder learns of the source is a fixed vector.
    Differs: there the state of each layer of the encoder is handed to the same layer of the decoder as it is; here each
        layer maps the encoder's last output, the gate as Cho et al. 2014.
    Shapes: x [B, T, D], memory [B, S, D] or, n rows a sentence, [B / n, S, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, start: End, d_hidden: int | None, bias: bool) -> None:
        super().__init__()
        H = d_hidden or d_model
        self.end = start
        self.seed = Linear(d_model, 2 * H, bias=bias)
        self.recurrence = Recurrence("lstm", d_model=d_model, d_hidden=H, bias=bias)
        self.output = Linear(H, d_model, bias=bias) if d_model != H else None

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        found: dict[nn.Module, Role] = {self.recurrence.input: "residual_input"}
        if self.output is not None:
            found[self.output] = "residual_output"
        return found

    def forward(
        self,
        x: Tensor,
        *,
        mask: Mask,
        position: Position | None,
        cache: Any,
        memory: Tensor | None = None,
        memory_mask: Mask | None = None,
    ) -> Tensor:
        held: StateCache = StateCache() if cache is None else cache.own
        if held.state is None:
            assert memory is not None
            seed, cell = self.seed(end_of(memory, memory_mask, self.end, len(x))).chunk(2, dim=-1)
            held.state = (seed.tanh(), cell, seed.tanh(), cell)
        before, seeds = held.state[:2], held.state[2:]
        strips = strips_of(mask, x)
        start = tuple(strips.begin(*pair) for pair in zip(before, seeds, strict=True))
        valid = None if cache is None else strips.valid
        out, after = self.recurrence(strips.split(x), start, valid=valid)
        if cache is not None:
            held.state = (*(strips.end(*pair) for pair in zip(after, before, strict=True)), *seeds)
        return strips.join(out if self.output is None else self.output(out))

    def new_cache(self) -> ReadingCache:
        """The state after no token; it holds all that is kept of the memory."""
        return ReadingCache(StateCache())
