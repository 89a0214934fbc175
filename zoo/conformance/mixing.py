"""What mixers are tried with: positions that suit them, a memory where they read one, the roles they may have."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from registry import Spec, check
from zoo.assembly.layer import heads
from zoo.conformance.trials import B, D, Part, S
from zoo.kinds import MIXER, POSITION, MixerSpec
from zoo.masks import Mask

N = 9
"""Places of the longer trials."""
# Made once: within a graph no generator can be.
_MEMORY = torch.randn(2 * B, S, D, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def mixer_part(spec: Spec) -> Part:
    """The part that a spec describes; what it lacks are roles that it may not have, and a memory that it reads."""
    mixer, lacks = cast(MixerSpec, spec), {}
    for role in ("self", "causal"):
        problems = check(spec, "", d_model=D, role=role, position=positions_of(spec))
        if problems:
            lacks[role] = f"it may not be '{role}': {problems[0].message}"
    if not mixer.reads_memory:
        lacks["memory"] = "it reads no memory"
    if mixer.gives_nothing:
        lacks["content"] = "it gives zeros"
    return Part(MIXER, spec, lambda: _Mixer(spec, is_causal="self" in lacks), run=mix, lacks=lacks)


def positions_of(spec: Spec) -> Spec:
    """The spec of a position that the mixer accepts: none if it can do without."""
    for name in sorted(POSITION.names(), key=lambda name: name != "none"):
        for position in POSITION.examples(name):
            if any(
                not check(spec, "", d_model=D, role=role, position=position) for role in ("self", "causal")
            ):
                return position
    raise AssertionError("no registered position fits this mixer at these sizes: see its check")


class _Mixer(nn.Module):
    """A mixer with the positions that it needs, in the one direction that it is tried in."""

    def __init__(self, spec: Spec, *, is_causal: bool) -> None:
        super().__init__()
        position = positions_of(spec)
        self.mixer = MIXER.build(spec, d_model=D)
        self.position = None
        if position.type != "none":
            self.position = POSITION.build(position, d_model=D, n_heads=heads(spec))
        self.reads_memory = cast(MixerSpec, spec).reads_memory
        self.is_causal = is_causal

    def forward(
        self,
        x: Tensor,
        *,
        mask: Mask,
        cache: Any = None,
        memory: Tensor | None = None,
        memory_mask: Mask | None = None,
    ) -> Tensor:
        read = {"memory": memory, "memory_mask": memory_mask} if self.reads_memory else {}
        return self.mixer(x, mask=mask, position=self.position, cache=cache, **read)


def memory_of(n_rows: int) -> Tensor:
    """What a mixer with a memory is given, the same at each call: [n, S, D]."""
    return _MEMORY[:n_rows]


def mix(module: nn.Module, x: Tensor, mask: Mask | None = None, **given: Any) -> Tensor:
    """What the mixer gives: under no mask in both directions, where it may stand in such a stack."""
    if mask is None:
        mask = Mask(causal=bool(module.is_causal))
    if module.reads_memory and "memory" not in given:
        given = {"memory": memory_of(len(x)).to(x), "memory_mask": Mask(), **given}
    return module(x, mask=mask, **given)


def directions(part: Part) -> list[bool]:
    """Whether the mask is causal, in each role that the mixer may have."""
    return [causal for causal, role in ((False, "self"), (True, "causal")) if role not in part.lacks]
