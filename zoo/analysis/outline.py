"""What a picture or a list of an architecture shows: its parts in the order in which a batch passes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from registry import Spec, differences
from zoo.analysis.size import n_parameters
from zoo.assembly.layer import LayerSpec
from zoo.assembly.stack import StackSpec
from zoo.assembly.usage import reads
from zoo.components.heads import has_hook

Role = Literal["embedding", "position", "norm", "mixing", "memory", "ffn", "head"]
"""What a part is for; memory: it reads the encoder's output."""
_SHOWN = (
    "n_heads", "d_ff", "vocab_size", "radius", "chunk_size", "n_experts", "top_k", "expert", "activation", "tied"
)  # fmt: skip
"""Told even where they are what they are by default."""
_UNTOLD = ("type", "ids", "dropout", "output_dropout", "eps", "max_len")
"""No matter of architecture, or too small for a picture."""
_CALLED = {"self_attention": "self-attention", "cross_attention": "cross-attention"}


@dataclass(frozen=True)
class Part:
    """A part as it is shown."""

    path: str
    """Of its spec, from the model's on."""
    name: str
    """Under which it is registered."""
    role: Role
    details: tuple[str, ...] = ()
    """Its fields that say most, such as "n_heads 8"."""
    is_marked: bool = False


@dataclass(frozen=True)
class LayerForm:
    """A layer of a stack, in the order in which its sublayers run."""

    path: str
    layout: Part
    wiring: tuple[str, ...]
    """See LayoutSpec."""
    sublayers: tuple[tuple[Part, Part], ...]
    """Each with its norm."""


@dataclass(frozen=True)
class Group:
    """Forms that follow each other in turn, so many times."""

    repeat: int
    forms: tuple[LayerForm, ...]


@dataclass(frozen=True)
class StackOutline:
    """A stack and what goes into it."""

    name: str
    embedding: Part
    position: Part | None
    """What is added to the embeddings, or None."""
    first_norm: Part | None
    groups: tuple[Group, ...]
    last_norm: Part | None
    n_passes: int = 1
    """How often its layers are gone through, with the same weights."""
    is_marked: bool = False
    """Whether the number of its layers differs."""
    are_passes_marked: bool = False
    """Whether that of passes differs."""


@dataclass(frozen=True)
class Outline:
    """A model's parts; where there are two stacks, the first is the second's memory."""

    title: str
    d_model: int
    n_parameters: int
    stacks: tuple[StackOutline, ...]
    head: Part
    is_marked: bool = False
    """Whether d_model differs."""
    undrawn: tuple[str, ...] = ()
    """The keys that differ, but are of no part that is shown."""

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)

    def parts(self) -> Iterator[Part]:
        """Each part once, in order."""
        for stack in self.stacks:
            yield from (each for each in (stack.embedding, stack.position, stack.first_norm) if each)
            for form in (form for group in stack.groups for form in group.forms):
                yield form.layout
                for part, norm in form.sublayers:
                    yield from (norm, part)
            if stack.last_norm:
                yield stack.last_norm
        yield self.head


def can_outline(model: Spec) -> bool:
    """Whether the model is made of an encoder, a decoder or both, with an embedding for each."""
    return len(stacks_of(model)) == len(getattr(model, "slots", ())) > 0


def stacks_of(model: Any) -> list[str]:
    """The names of the stacks that a model is made of, in the order in which a batch passes them."""
    return [name for name in ("encoder", "decoder") if isinstance(getattr(model, name, None), StackSpec)]


def outline(model: Spec, title: str, *, other: Spec | None = None) -> Outline:
    """A model's outline; what differs from another model's spec is marked."""
    changed = [] if other is None else [each.path for each in differences(other, model)]
    return _Outliner(model, changed).outline(title)


class _Outliner:
    def __init__(self, model: Spec, changed: Sequence[str]) -> None:
        self._model: Any = model
        self._changed = changed

    def outline(self, title: str) -> Outline:
        model = self._model
        slots: Mapping[str, Spec] = model.slots
        stacks = tuple(
            self._stack(name, getattr(model, name), slot)
            for name, slot in zip(stacks_of(model), slots.items(), strict=True)
        )
        head = self._part("head", model.head, "head")
        found = Outline(title, model.d_model, n_parameters(model), stacks, head, "d_model" in self._changed)
        shown = (
            {part.path for part in found.parts()}
            | {f"{each.name}.{number}" for each in stacks for number in ("n_layers", "passes")}
            | {"d_model"}
        )
        undrawn = [path for path in self._changed if not any(_meets(path, each) for each in shown)]
        return replace(found, undrawn=tuple(undrawn))

    def _stack(self, name: str, stack: StackSpec, slot: tuple[str, Spec]) -> StackOutline:
        place, is_causal = f"{name}.position" if stack.position else "position", name == "decoder"
        position: Spec = stack.position or self._model.position
        added = self._part(place, position, "position") if has_hook(position, "embed") else None
        if stack.layers is None:
            assert stack.layer is not None
            groups = [
                Group(
                    stack.n_layers or 1,
                    (self._form(f"{name}.layer", stack.layer, position, is_causal=is_causal),),
                )
            ]
        else:
            groups = [
                Group(
                    group.repeat,
                    tuple(
                        self._form(f"{name}.layers.{i}.{at}", layer, position, is_causal=is_causal)
                        for at, layer in group.each_form().items()
                    ),
                )
                for i, group in enumerate(stack.layers)
            ]
        first, last = (
            None if norm is None else self._part(f"{name}.{field}", norm, "norm")
            for field, norm in (("input_norm", stack.input_norm), ("final_norm", stack.final_norm))
        )
        embedding = self._part(*slot, "embedding")
        if getattr(self._model, slot[0]) is not slot[1]:
            embedding = replace(embedding, details=(*embedding.details, "shared with source"))
        marks = (f"{name}.{number}" in self._changed for number in ("n_layers", "passes"))
        return StackOutline(name, embedding, added, first, tuple(groups), last, stack.passes, *marks)

    def _form(self, path: str, layer: LayerSpec, position: Spec, *, is_causal: bool) -> LayerForm:
        own = layer.position or position
        at = f"{path}.position" if layer.position else "position"
        sublayers = []
        for name, norm in layer.sublayers:
            spec: Spec = getattr(layer, name)
            role: Role = "mixing" if name in ("self_attention", "mixer") else "ffn"
            if name == "cross_attention" or getattr(spec, "reads_memory", False):
                role = "memory"
            part = self._part(f"{path}.{name}", spec, role)
            is_mixing = name == layer.mixing_slot
            if is_mixing or role == "memory":
                said = _CALLED.get(name, name)
                part = replace(
                    part, details=(f"causal {said}" if is_mixing and is_causal else said, *part.details)
                )
            if is_mixing and getattr(spec, "reads", None) and reads(spec, own):
                is_marked = part.is_marked or self._differs(at)
                part = replace(part, details=(*part.details, f"{own.type} positions"), is_marked=is_marked)
            norm_at = f"{path}.attention_norm" if norm is layer.attention_norm else f"{path}.norm"
            sublayers.append((part, self._part(norm_at, norm, "norm")))
        layout = self._part(f"{path}.layout", layer.layout, "norm")
        return LayerForm(path, layout, layer.layout.wiring, tuple(sublayers))

    def _part(self, path: str, spec: Spec, role: Role) -> Part:
        return Part(path, str(spec.type), role, details(spec), self._differs(path))

    def _differs(self, path: str) -> bool:
        return any(_meets(each, path) for each in self._changed)


def _meets(one: str, other: str) -> bool:
    """Whether two dotted paths are one, or one leads into the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def details(spec: Spec) -> tuple[str, ...]:
    """The fields that are not what they are by default, and those that say most, each as name and value."""
    found = []
    for name, field in type(spec).model_fields.items():
        value = getattr(spec, name)
        default = None if field.is_required() else field.default
        if name in _UNTOLD or value is None or (value == default and name not in _SHOWN):
            continue
        rank = name not in _SHOWN
        if isinstance(value, Spec):
            found.append((rank, f"{name} {getattr(value, 'type', '')}"))
            found += [(rank, f"{name}.{each}") for each in details(value)]
        elif not isinstance(value, dict):
            found.append((rank, f"{name} {_said(value)}"))
    return tuple(text for _, text in sorted(found, key=lambda each: each[0]))


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple | list):
        return ", ".join(map(_said, value))
    return str(value)
