"""Parts that nothing in a model uses: their weights would never learn, or what they say would do nothing, unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from registry import Problem, Spec
from zoo.components.heads import has_hook
from zoo.kinds import ATTENTION, POSITION
from zoo.sizes import n_parameters


def reads(mixing: Spec, position: Spec) -> bool:
    """Whether an attention or a mixer calls a method by which the position does anything; one that does not say may
    call any."""
    called = getattr(mixing, "reads", None)
    return called is None or any(has_hook(position, name) for name in called)


def is_unread(position: Spec, mixing: Sequence[Spec], *, d_model: int, n_heads: int) -> bool:
    """Whether a position has something to say, to what mixes positions alone, that none of these reads.

    Where there are none, because each has positions of its own, only weights would be in vain.
    """
    if any(reads(each, position) for each in mixing):
        return False
    says_something = has_hook(position, "rotate") or has_hook(position, "bias")
    if has_hook(position, "embed") and not (says_something and mixing):
        return False
    return (says_something and bool(mixing)) or has_weights(position, d_model=d_model, n_heads=n_heads)


def has_weights(position: Spec, *, d_model: int, n_heads: int) -> bool:
    """Whether a position learns."""
    return n_parameters(POSITION, position, d_model=d_model, n_heads=n_heads) > 0


def unused(path: str, position: Spec, where: str = "") -> Problem:
    """The problem of a position that nothing uses, of the layers `where` or of its own, with who would."""
    examples = {name: ATTENTION.examples(name)[:1] for name in ATTENTION.names()}
    able = [name for name, specs in examples.items() if specs and reads(specs[0], position)]
    who = f"nothing in {where}, in a layer without its own," if where else "this layer never"
    known = f"the attentions {', '.join(able)} do" if able else "no attention does"
    return Problem(
        path,
        f"nothing uses {position.type} positions: {who} reads them ({known}); take another attention or other "
        "positions, such as none",
    )


def model_position_problems(model: Any, path: str, stacks: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a model's positions as its stacks use them: one that has its own says so of those itself."""
    position: Spec = model.position
    heirs = {name: stack for name, stack in stacks.items() if stack.position is None}
    # A stack may inherit, without using them, positions that another uses: if they have no weights.
    in_vain = [name for name, stack in heirs.items() if stack.learns_in_vain(position, d_model=model.d_model)]
    if in_vain:
        return [unused(f"{path}.position", position, f"{path}.{name}") for name in in_vain]
    default = type(model).model_fields["position"].default
    if position == POSITION.entry(default).spec():  # what nobody said needs no use
        return []
    if not heirs:
        first = next(iter(stacks.values()))
        if not has_weights(position, d_model=model.d_model, n_heads=first.n_heads):
            return []
        message = "nothing uses it: every stack has positions of its own; leave it out"
        return [Problem(f"{path}.position", message)]
    if any(stack.uses(position, d_model=model.d_model) for stack in heirs.values()):
        return []
    return [unused(f"{path}.position", position, " and ".join(f"{path}.{name}" for name in stacks))]


def writer_problems(path: str, embedding: Spec, *, or_numbers: bool = False) -> list[Problem]:
    """What is wrong with the embedding of what a decoder writes: it reads its own output, which is tokens, or numbers
    where it may be, place by place."""
    if getattr(embedding, "reads_whole", False):
        message = (
            f"{embedding.type} counts the places of a sequence that it has as a whole, and a decoder writes token by "
            "token; take positions of the stack instead"
        )
        return [Problem(path, message)]
    if hasattr(embedding, "vocab_size") or (or_numbers and hasattr(embedding, "values_per_place")):
        return []
    wanted = "tokens, or series_steps," if or_numbers else "tokens"
    message = (
        f"a decoder reads the tokens that it writes, and {embedding.type} embeds none; take {wanted} here"
    )
    return [Problem(path, message)]


def length_problems(path: str, embedding: Spec, stack: Any, position: Spec) -> list[Problem]:
    """Whether positions of the encoder reach as far as an input that always has one length, and have its grid.

    path is that of the model, position the model's.
    """
    place = f"{path}.encoder.position" if stack.position else f"{path}.position"
    found = _place_problems(place, embedding, stack.position or position)
    for where, layer in stack.forms(f"{path}.encoder"):
        if layer.position is not None:
            found += _place_problems(f"{where}.position", embedding, layer.position)
    return found


def _place_problems(path: str, embedding: Spec, position: Spec) -> list[Problem]:
    length, max_len = (getattr(embedding, "length", None), getattr(position, "max_len", None))
    if length is not None and max_len is not None and length > max_len:
        message = f"has places for {max_len}, and {embedding.type} gives {length} vectors; make it longer"
        return [Problem(path, message)]
    given, own = getattr(embedding, "grid", None), getattr(position, "grid", None)
    if given is None or own is None or given == own:
        return []
    sizes = ", ".join(f"{name}: {n}" for name, n in zip(("n_prefix", "height", "width"), given, strict=True))
    message = (
        f"its grid of {own[1]} by {own[2]}, n_prefix {own[0]}, is not that of {embedding.type}; take {sizes}"
    )
    return [Problem(path, message)]


def needless(parts: Iterable[tuple[str, Spec | None, Spec | None, str]]) -> list[Problem]:
    """A problem for each (path, part, what it is by default, why nothing uses it) that differs from the default."""
    return [Problem(path, why) for path, part, default, why in parts if part is not None and part != default]
