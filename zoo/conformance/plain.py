"""Plain modules under the laws: how those that have no spec are made and called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from registry import suggest
from zoo.conformance.attention import attend
from zoo.conformance.inside import lacks_inside
from zoo.conformance.mixing import mix
from zoo.conformance.trials import D, Part, call
from zoo.kinds import ATTENTION, FFN, MIXER, NORM
from zoo.masks import Mask

_KINDS = {kind.name: kind for kind in (ATTENTION, FFN, MIXER, NORM)}
_ROLES = {"attention": ("self", "causal", "cross"), "mixer": ("self",)}


def plain_part(
    kind: str,
    make: Callable[[int], nn.Module],
    *,
    run: Callable[..., Tensor] | None = None,
    roles: Sequence[str] | None = None,
    name: str = "",
) -> Part:
    """A module that is registered nowhere, as a part for the laws.

    kind: attention, mixer, ffn or norm.
    make: from d_model to the module, with random weights.
    run: from the module and what it is given to [B, T, D]; without it the module itself is called so.
        ffn, norm: (module, x [B, T, D]).
        attention: (module, query [B, T, D], memory [B, S, D], allowed bool [B, T, S], True = may attend);
            in self-attention memory is the query.
        mixer: (module, x [B, T, D], real bool [B, T]); without it (x) alone, so that it is asked nothing of padding.
    roles: what it may be: of an attention 'self', 'causal', 'cross', all by default; of a mixer 'self' or 'causal'
        (no output depends on a later token), 'self' by default.
    name: for reports.
    Raises: ValueError for another kind or role.
    """
    if kind not in _KINDS:
        raise ValueError(
            f"no plain module can be tried as '{kind}'; {suggest(kind, sorted(_KINDS), listed=True)}"
        )
    roles = _ROLES.get(kind, ()) if roles is None else roles
    known = (
        ("self", "causal", "cross") if kind == "attention" else ("self", "causal") if kind == "mixer" else ()
    )
    if wrong := [role for role in roles if role not in known]:
        raise ValueError(f"{kind} has no role '{wrong[0]}' (known: {', '.join(known) or 'none'})")
    lacks = {role: f"it is not said to be '{role}'" for role in known if role not in roles}
    lacks |= {"spec": "it has no spec", "cache": "it is not said what it keeps from call to call"}
    lacks |= {"documents": "it is not told which places are of one document"}
    lacks |= {"memory": "it reads no memory"} if kind == "mixer" else {}
    if kind == "mixer" and run is None:
        lacks["keys"] = "it is not told which places are real"
    if kind == "attention":
        found = Part(
            ATTENTION, None, lambda: _PlainAttention(make(D), run or _called), run=attend, lacks=lacks
        )
    elif kind == "mixer":
        is_causal = "self" not in roles
        found = Part(MIXER, None, lambda: _PlainMixer(make(D), run, is_causal), run=mix, lacks=lacks)
    else:
        found = Part(_KINDS[kind], None, lambda: make(D), run=run or call, lacks=lacks)
    return replace(found, lacks={**lacks, **lacks_inside(found)}, name=name)


def _called(module: nn.Module, *given: Tensor) -> Tensor:
    return module(*given)


class _PlainAttention(nn.Module):
    """A module that is told by a dense mask what it may attend to."""

    def __init__(self, module: nn.Module, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.attention, self.run = module, run

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        cache: Any = None,
        is_cross: bool = False,
    ) -> Tensor:
        memory = x if memory is None else memory
        shape = (x.shape[0], x.shape[1], memory.shape[1])
        allowed = mask.dense(shape[1], shape[2], x.device)  # [B or 1, 1, T or 1, S]
        dense = torch.ones(shape, dtype=torch.bool, device=x.device)
        return self.run(self.attention, x, memory, dense if allowed is None else dense & allowed[:, 0])


class _PlainMixer(nn.Module):
    """A module that is told at most which places are real."""

    reads_memory = False

    def __init__(self, module: nn.Module, run: Callable[..., Tensor] | None, is_causal: bool) -> None:
        super().__init__()
        self.mixer, self.run, self.is_causal = module, run, is_causal

    def forward(self, x: Tensor, *, mask: Mask, cache: Any = None) -> Tensor:
        if self.run is None:
            return self.mixer(x)
        real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if mask.keys is None else mask.keys
        return self.run(self.mixer, x, real)
