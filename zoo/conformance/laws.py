"""What every component of a kind must do, as small named checks: run by the tests, and by anyone with a part of theirs.

Each law takes a spec, builds the part at small odd sizes and raises AssertionError with the law's name when the part
breaks it. `laws(kind, spec)` gives those that apply. All runs on the CPU in float64, so that a difference is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from registry import Kind, Spec
from zoo.conformance.attention import attention_laws
from zoo.conformance.embedding import embedding_laws
from zoo.conformance.ffn import ffn_laws
from zoo.conformance.head import head_laws
from zoo.conformance.initialization import initialization_laws
from zoo.conformance.inside import laws_inside
from zoo.conformance.layout import layout_laws
from zoo.conformance.mixer import mixer_laws
from zoo.conformance.model import model_laws
from zoo.conformance.norm import norm_laws
from zoo.conformance.position import position_laws
from zoo.conformance.trials import Law

_LAWS: dict[str, Callable[[Spec], list[Law]]] = {
    "attention": attention_laws,
    "embedding": embedding_laws,
    "ffn": ffn_laws,
    "head": head_laws,
    "initialization": initialization_laws,
    "layout": layout_laws,
    "mixer": mixer_laws,
    "model": model_laws,
    "norm": norm_laws,
    "position": position_laws,
}


def laws(kind: Kind, spec: Spec) -> Iterator[tuple[str, Law]]:
    """(name, law) of every law of this kind that applies to this spec; that of a whole model should be small."""
    if kind.name in _LAWS:
        yield from ((law.__name__, law) for law in _LAWS[kind.name](spec))
    yield from laws_inside(kind, spec)
