"""Which query may attend to which key, in each layer of a model that differs: read off what its attentions attend to.

Each attention is built alone and run, watched: a key is seen where the weight of some head is above 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from registry import Kind, Problem, Spec, SpecError, check
from zoo.amounts import amount
from zoo.analysis.attention import attentions_in
from zoo.analysis.outline import stacks_of
from zoo.assembly.layer import heads
from zoo.kinds import ATTENTION, MIXER, POSITION
from zoo.masks import Mask
from zoo.sizes import n_parameters

MAX_LENGTH = 500
"""Tokens, whose square a drawing still shows."""
MOST_PARAMETERS = 10**9
"""Of an attention that is built in order to be watched."""
_ROLES = {"self": "self-attention", "causal": "causal self-attention", "cross": "cross-attention"}


@dataclass(frozen=True, eq=False, kw_only=True)
class SeenMap:
    """What the attentions of some layers let be seen; where is the place of the first in the model's spec."""

    where: str
    part: str
    role: str
    layers: tuple[int, ...]
    """Counted from 0 within the stack; none of an attention by itself."""
    allowed: NDArray[np.bool_]
    """Queries by keys: [T, S]."""
    n_documents: int = 1
    n_told: int = 0
    """Tokens, the first ones, of which the model was told that they are global."""
    radius: int | None = None
    """What its spec says, if it says one."""

    @property
    def title(self) -> str:
        """The part, what it is for and where."""
        layers = f", {amount(len(self.layers), 'layer')}" if self.layers else ""
        place = f": {self.where}" if self.where else ""
        return f"{self.part}, {_ROLES[self.role]}{place}{layers}"

    @property
    def told(self) -> str:
        """What has to be known to read it."""
        seen = int(self.allowed.sum())
        told = [f"{seen:,} of {self.allowed.size:,} pairs are seen ({seen / self.allowed.size:.0%})"]
        if self.n_documents > 1:
            told.append(f"{self.n_documents:,} documents in the row")
        if self.n_told:
            told.append("token 0 is global, as the model would be told")
        if self.radius is not None and self.radius >= self.allowed.shape[1] - 1:
            told.append(f"its radius, {self.radius:,}, is wider than this")
        return "; ".join(told) + "."

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {**vars(self), "layers": list(self.layers), "allowed": self.allowed.tolist()}


def model_masks(
    model: Any, *, length: int, n_documents: int = 1, layers: Sequence[int] | None = None
) -> tuple[list[SeenMap], list[str]]:
    """What each form of layer sees, those that see the same told once, and the parts that attend by no softmax.

    layers, from 0, are those of every stack; None: all.
    Raises: SpecError for a layer that there is not, and where nothing attends.
    """
    found: list[SeenMap] = []
    without: list[str] = []
    counted: set[int] = set()
    for stack_name in stacks_of(model):
        stack, is_causal = getattr(model, stack_name), stack_name == "decoder"
        for path, layer, numbers in _forms(stack_name, stack):
            counted |= set(numbers)
            chosen = tuple(each for each in numbers if layers is None or each in layers)
            if not chosen:
                continue
            position = layer.position or stack.position or model.position
            for slot, kind in (
                ("self_attention", ATTENTION),
                ("mixer", MIXER),
                ("cross_attention", ATTENTION),
            ):
                spec = getattr(layer, slot)
                if spec is None:
                    continue
                role = "cross" if slot == "cross_attention" else "causal" if is_causal else "self"
                seen = _seen(
                    kind, spec, role, position,
                    d_model=model.d_model, length=length, n_documents=1 if role == "cross" else n_documents,
                )  # fmt: skip
                if seen is None:
                    without.append(f"{path}.{slot} ({spec.type})")
                else:
                    _add(found, replace(seen, where=f"{path}.{slot}", layers=chosen))
    if wrong := sorted(set(layers or ()) - counted):
        last = max(counted)
        raise SpecError([Problem("layer", f"there is no layer {wrong[0]:,}: there are 0 to {last:,}")])
    if not found:
        raise SpecError([Problem("model", f"nothing attends by a softmax: {', '.join(without)}")])
    return found, without


def attention_masks(spec: Spec, *, d_model: int, length: int, n_documents: int = 1) -> list[SeenMap]:
    """What an attention by itself sees, in each role that it takes.

    Raises: SpecError where it takes none, or attends by no softmax.
    """
    found, wrong = [], []
    for role in _ROLES:
        if problems := check(spec, "", d_model=d_model, role=role, position=None):
            wrong += problems
            continue
        n = 1 if role == "cross" else n_documents
        seen = _seen(ATTENTION, spec, role, None, d_model=d_model, length=length, n_documents=n)
        if seen is None:
            raise SpecError(
                [Problem("", f"attention/{spec.type} attends by no softmax, so it shows no mask")]
            )
        found.append(seen)
    if not found:
        raise SpecError(wrong)
    return found


def _add(found: list[SeenMap], seen: SeenMap) -> None:
    """Another one, or further layers of one that is the same."""
    for i, each in enumerate(found):
        is_same = (each.part, each.role) == (seen.part, seen.role) and np.array_equal(
            each.allowed, seen.allowed
        )
        if is_same and each.where.partition(".")[0] == seen.where.partition(".")[0]:
            found[i] = replace(each, layers=tuple(sorted({*each.layers, *seen.layers})))
            return
    found.append(seen)


def _forms(name: str, stack: Any) -> Iterator[tuple[str, Any, range]]:
    """Each form of layer: its place, its spec, and which layers have it."""
    if stack.layers is None:
        yield f"{name}.layer", stack.layer, range(stack.n_layers or 1)
        return
    start = 0
    for i, group in enumerate(stack.layers):
        forms = group.each_form()
        end = start + group.repeat * len(forms)
        for at, (place, layer) in enumerate(forms.items()):
            yield f"{name}.layers.{i}.{place}", layer, range(start + at, end, len(forms))
        start = end


@torch.no_grad()
def _seen(
    kind: Kind, spec: Spec, role: str, position: Spec | None, *, d_model: int, length: int, n_documents: int
) -> SeenMap | None:
    """What a part sees on random vectors; None where it attends by no softmax."""
    if (n := n_parameters(kind, spec, d_model=d_model)) > MOST_PARAMETERS:
        raise SpecError(
            [Problem("", f"{spec.type} has {n:,} parameters, too many to be built for a drawing")]
        )
    is_mixer, reads_memory = kind is MIXER, role == "cross" or getattr(spec, "reads_memory", False)
    n_told = int(getattr(spec, "needs_global_tokens", False))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = kind.build(spec, d_model=d_model).eval()
        own = None
        if position is not None and role != "cross":
            own = POSITION.build(position, d_model=d_model, n_heads=heads(spec)).eval()
        x, memory = 0.1 * torch.randn(2, 1, length, d_model)  # small: no weight vanishes by its score
    places = torch.arange(length)[None]
    mask = Mask(
        causal=role == "causal",
        documents=places * n_documents // length if n_documents > 1 else None,
        global_tokens=places < n_told if n_told else None,
    )
    given: dict[str, Any] = {"mask": Mask() if role == "cross" else mask, "position": own, "cache": None}
    if reads_memory and is_mixer:
        given |= {"memory": memory, "memory_mask": Mask()}
    elif reads_memory:
        given["memory"] = memory
    try:
        seen = attentions_in(module, lambda: module(x, **given)).found[0]
    except SpecError:
        return None
    except ValueError as error:
        raise SpecError([Problem("", f"{spec.type}: {error}")]) from None
    allowed = (seen.weights > 0).any(dim=1)[0].numpy()
    told = role if not seen.is_cross else "cross"
    radius = getattr(spec, "radius", None)
    return SeenMap(
        where="", part=str(spec.type), role=told, layers=(), allowed=allowed,
        n_documents=n_documents, n_told=n_told, radius=radius if isinstance(radius, int) else None,
    )  # fmt: skip
