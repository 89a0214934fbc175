"""A mixer, and attention to the memory from what it gives, put together by one map."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, Within
from zoo.components.mixer._memory import ReadingCache
from zoo.costs import Cost, product
from zoo.costs import cost as cost_of
from zoo.kernels.linear import Linear
from zoo.kinds import ATTENTION, MIXER, MixerSpec, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class AttendedSpec(MixerSpec):
    type: Literal["attended"] = "attended"
    reads_memory: ClassVar[bool] = True
    mixer: Annotated[MixerSpec, MIXER] = Field("seeded_lstm", validate_default=True)
    """What gives the queries."""
    attention: Annotated[Spec, ATTENTION] = Field("dot_product", validate_default=True)
    """How the memory is looked at from them."""

    def contexts(self, *, d_model: int, role: str, position: Spec | None) -> dict[str, Within]:
        """The mixer works as it would here itself; the attention goes to the memory."""
        return {
            "mixer": Within({"d_model": d_model, "role": role, "position": position}),
            "attention": Within({"d_model": d_model, "role": "cross", "position": None}),
        }

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role != "causal":
            raise ValueError("looks at a memory, which only a decoder has; take its mixer alone here")
        if self.mixer.reads != ():
            raise ValueError(
                f"{self.mixer.type} reads positions, which what stands within attended is not given; take another mixer"
            )

    def n_parameters(self, *, d_model: int) -> int:
        inside = n_parameters(MIXER, self.mixer, d_model=d_model)
        inside += n_parameters(ATTENTION, self.attention, d_model=d_model)
        return inside + linear_size(2 * d_model, d_model, bias=True)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        inside = n_kept(MIXER, self.mixer, d_model=d_model, role=role, position=None, batch=batch)
        inside += n_kept(ATTENTION, self.attention, d_model=d_model, role="cross", position=None, batch=batch)
        return inside + batch.n_tokens * 3 * d_model

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        own = product(batch.n_tokens, 2 * d_model, d_model)
        mixed = cost_of(MIXER, self.mixer, d_model=d_model, role=role, position=None, batch=batch)
        seen = cost_of(ATTENTION, self.attention, d_model=d_model, role="cross", position=None, batch=batch)
        return replace(
            mixed,
            forward=own + mixed.forward + seen.forward,
            backward=2 * own + mixed.backward + seen.backward,
            formula=f"4·T·D² + {mixed.formula} + {seen.formula}",
            cached_per_token=mixed.cached_per_token + seen.cached_per_token,
            cached=mixed.cached + seen.cached,
            is_known=mixed.is_known and seen.is_known,
        )


@MIXER.register(
    "attended",
    spec=AttendedSpec,
    examples=[
        {},
        {"mixer": {"type": "gru", "d_hidden": 5}, "attention": {"type": "multi_head", "n_heads": 3}},
    ],
)
class Attended(nn.Module):
    """tanh(W [c; h] + b), h what the mixer gives and c the memory as seen from it.

    Source: Luong et al. 2015 (1508.04025), section 3 and equation 5, global attention; dot_product is their `dot`.
    Differs: what is given is not fed to the mixer's next step (their input feeding, section 3.3).
    Shapes: x [B, T, D], memory [B, S, D] or, n rows a sentence, [B / n, S, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, mixer: MixerSpec, attention: Spec) -> None:
        super().__init__()
        self.mixer = MIXER.build(mixer, d_model=d_model)
        self.mixer_reads_memory = mixer.reads_memory
        self.attention = ATTENTION.build(attention, d_model=d_model)
        self.output = Linear(2 * d_model, d_model)

    def roles(self) -> dict[nn.Module, Role]:
        """What the map is for."""
        return {self.output: "residual_output"}

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
        own, seen = (None, None) if cache is None else (cache.own, cache.read)
        read = {"memory": memory, "memory_mask": memory_mask} if self.mixer_reads_memory else {}
        hidden = self.mixer(x, mask=mask, position=None, cache=own, **read)
        there = Mask() if memory_mask is None else memory_mask
        context = self.attention(hidden, memory, mask=there, position=None, cache=seen)
        return self.output(torch.cat([context, hidden], dim=-1)).tanh()

    def new_cache(self) -> ReadingCache:
        """What the mixer keeps, and what the attention keeps of the memory."""
        own, read = self.mixer.new_cache(), self.attention.new_memory_cache()
        return ReadingCache(own, read, inside=[own] if self.mixer_reads_memory else [])
