"""A recurrence that looks at the memory at each step, from the state it has by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, Within
from zoo.components.mixer._memory import End, ReadingCache, end_of
from zoo.components.mixer._recurrent import RECURRENT
from zoo.costs import Cost, Mixing, product
from zoo.costs import cost as cost_of
from zoo.kernels.cache import StateCache
from zoo.kernels.linear import Linear
from zoo.kernels.strips import strips_of
from zoo.kinds import ATTENTION, MIXER, MixerSpec, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class AttentiveGRUSpec(MixerSpec):
    type: Literal["attentive_gru"] = "attentive_gru"
    reads_memory: ClassVar[bool] = True
    attention: Annotated[Spec, ATTENTION] = Field("additive", validate_default=True)
    """How the memory is looked at; its query is the state before the step."""
    start: End = "first"
    """Which vector of the memory the first state is a map of."""

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """What its attention cannot be, it cannot."""
        own: Mapping[str, str] = getattr(self.attention, "expected_failures", {})
        return {law: why for law, why in own.items() if law == "it_compiles_as_one_graph"}

    def contexts(self, *, d_model: int) -> dict[str, Within]:
        """The attention goes from the states to the memory."""
        return {"attention": Within({"d_model": d_model, "role": "cross", "position": None})}

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role != "causal":
            raise ValueError("looks at a memory, which only a decoder has; take gru here")

    def n_parameters(self, *, d_model: int) -> int:
        D = d_model
        gates = 2 * linear_size(D, 3 * D, bias=True) + linear_size(D, 3 * D, bias=False)
        maps = linear_size(D, D, bias=True) + linear_size(3 * D, D, bias=True)
        return gates + maps + n_parameters(ATTENTION, self.attention, d_model=D)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        # One query at a time never takes the CPU's kernel for short sequences, which keeps more.
        sizes = replace(batch, is_on_cpu=False)
        inside = n_kept(ATTENTION, self.attention, d_model=d_model, role="cross", position=None, batch=sizes)
        return batch.n_tokens * 13 * d_model + inside

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        D = d_model
        own = product(batch.n_rows, D, D) + product(batch.n_tokens, 3 * D, 3 * D)
        own += product(batch.n_tokens, 3 * D, D)
        inside = cost_of(ATTENTION, self.attention, d_model=D, role="cross", position=None, batch=batch)
        return replace(
            inside,
            forward=own + inside.forward,
            backward=2 * own + inside.backward,
            formula=f"24·T·D² + 2·D² + {inside.formula}",
            cached=2 * D + inside.cached,  # the state and what it starts from
            mixing=Mixing(RECURRENT, n_sequential=batch.length, n_steps=batch.length),
        )


@MIXER.register(
    "attentive_gru",
    spec=AttentiveGRUSpec,
    examples=[
        {},
        {"attention": {"type": "multi_head", "n_heads": 3, "d_k": 5}, "start": "last"},
    ],
)
class AttentiveGRU(nn.Module):
    """s_t = GRU(s_{t-1}; x_t, c_t) with c_t the memory as seen from s_{t-1}; y_t = W [s_t; c_t; x_t] + b.

    Source: Bahdanau et al. 2015 (1409.0473), section 3.1 and A.2.2; the first state is tanh(W v + b), v being the
        memory's first vector, where the encoder's second direction ends.
    Differs: the reset gate is applied after the product with the state, see gru; y_t has s_t for their s_{t-1}, and no
        maxout.
    Shapes: x [B, T, D], memory [B, S, D] or, n rows a sentence, [B / n, S, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, attention: Spec, start: End) -> None:
        super().__init__()
        self.end = start
        self.attention = ATTENTION.build(attention, d_model=d_model)
        self.seed = Linear(d_model, d_model)
        self.input = Linear(d_model, 3 * d_model)
        self.context = Linear(d_model, 3 * d_model, bias=False)
        self.recurrent = Linear(d_model, 3 * d_model)
        self.output = Linear(3 * d_model, d_model)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        return {
            self.input: "residual_input",
            self.context: "residual_input",
            self.output: "residual_output",
        }

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
        strips = strips_of(mask, x)
        x = strips.blanked(x)
        # Without a search, keys and values of the memory serve all steps of this call.
        held = self.new_cache() if cache is None else cache
        if held.own.state is None:
            assert memory is not None
            seed = self.seed(end_of(memory, memory_mask, self.end, len(x))).tanh()
            held.own.state = (seed, seed)
        state, seed = held.own.state
        look = {"mask": Mask() if memory_mask is None else memory_mask, "position": None}
        own, begins, states, contexts = self.input(x), strips.begins, [], []
        for t in range(x.shape[1]):
            if begins is not None:
                state = torch.where(begins[:, t, None], seed, state)
            context = self.attention(state[:, None], memory, **look, cache=held.read)[:, 0]  # [B, D]
            new = self._step(own[:, t] + self.context(context), state)
            state = new if strips.real is None else torch.where(strips.real[:, t, None], new, state)
            states.append(state)
            contexts.append(context)
        held.own.state = (state, seed)
        return self.output(torch.cat([torch.stack(states, 1), torch.stack(contexts, 1), x], dim=-1))

    def _step(self, given: Tensor, state: Tensor) -> Tensor:
        """given [B, 3D], what input and context add; state [B, D] -> [B, D]."""
        reset, keep, new = given.chunk(3, dim=-1)
        own_reset, own_keep, own_new = self.recurrent(state).chunk(3, dim=-1)
        keep = (keep + own_keep).sigmoid()
        new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
        return keep * state + (1 - keep) * new

    def new_cache(self) -> ReadingCache:
        """The state after no token, and what the attention keeps of the memory."""
        return ReadingCache(StateCache(), self.attention.new_memory_cache())
