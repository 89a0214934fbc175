"""What every component of a kind must do, as small named checks: run by the tests, and by anyone with a part of theirs.

Each law takes a part, builds it at small odd sizes and raises AssertionError with what it found where the part breaks
it. `laws(part)` gives those that apply. All runs on the CPU in float64, so that a difference is a bug, but for the few
that are of another precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from registry import Kind, Spec, SpecError, suggest
from registry.problems import Problem
from zoo.conformance import (
    attention,
    embedding,
    ffn,
    head,
    initialization,
    layout,
    mixer,
    model,
    norm,
    position,
)
from zoo.conformance.inside import INSIDE_LAWS, lacks_inside
from zoo.conformance.mixing import mixer_part
from zoo.conformance.trials import Law, Part

_IN_LAYERS = ("attention", "mixer", "ffn", "norm", "layout", "position")

LAWS: dict[str, tuple[Law, ...]] = {
    "attention": (*attention.LAWS, *INSIDE_LAWS),
    "embedding": embedding.LAWS,
    "ffn": (*ffn.LAWS, *INSIDE_LAWS),
    "head": head.LAWS,
    "initialization": initialization.LAWS,
    "layout": (*layout.LAWS, *INSIDE_LAWS),
    "mixer": (*mixer.LAWS, *INSIDE_LAWS),
    "model": model.LAWS,
    "norm": (*norm.LAWS, *INSIDE_LAWS),
    "position": (*position.LAWS, *INSIDE_LAWS),
}
"""All laws of each kind that has some, in the order in which they are tried."""

_PARTS: dict[str, Callable[[Spec], Part]] = {
    "attention": attention.attention_part,
    "embedding": embedding.embedding_part,
    "ffn": ffn.ffn_part,
    "head": head.head_part,
    "initialization": initialization.initialization_part,
    "layout": layout.layout_part,
    "mixer": mixer_part,
    "model": model.model_part,
    "norm": norm.norm_part,
    "position": position.position_part,
}


def part_of(kind: Kind, spec: Spec) -> Part:
    """The part that a spec describes, to try laws on; a whole model should be small, for each law builds it.

    A spec may document which laws its part breaks by `expected_failures`, reasons by law, a ClassVar or a property.
    Raises: SpecError for a kind that has no laws.
    """
    if kind.name not in _PARTS:
        raise SpecError(
            [Problem("", f"there are no laws of kind '{kind.name}'", suggest(kind.name, LAWS, listed=True))]
        )
    part = _PARTS[kind.name](spec)
    inside = lacks_inside(part) if kind.name in _IN_LAYERS else {}
    expected = getattr(spec, "expected_failures", {})
    return replace(part, lacks={**part.lacks, **inside}, expected=expected)


def laws(part: Part) -> Iterator[Law]:
    """Every law of the part's kind that says something of it, the slow ones included."""
    yield from (law for law in LAWS[part.kind.name] if not law.unless(part))
