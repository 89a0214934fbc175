"""The parts of a model by their place in its spec, each form once however often it is repeated: for counting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry import Kind, Place, Spec
from zoo.sizes import Batch, n_kept, n_parameters


@dataclass(frozen=True)
class Part:
    """A component at a place of a spec."""

    path: str
    kind: Kind
    spec: Spec
    context: Mapping[str, Any]
    """What the kind's methods of size are called with."""
    n_times: int = 1
    """Modules of this form, each with weights of its own."""
    times_key: str = ""
    """The key that says how many."""

    @property
    def n_parameters(self) -> int:
        """The values of all of them."""
        return self.n_times * n_parameters(self.kind, self.spec, **self.context)

    def n_kept(self, *, batch: Batch) -> int:
        """What a training step keeps of all of them, in values: see zoo.sizes."""
        kept = n_kept(self.kind, self.spec, batch=batch, **self.context)
        return self.n_times * kept


def counted_parts(place: Place) -> Iterator[Part]:
    """The parts within a place whose kind says how they are counted, those that are a piece of another left out."""
    kind = place.kind
    if kind is None or "n_parameters" not in kind.calls:
        for inside in place.parts():
            yield from counted_parts(inside)
    elif place.n_times:
        assert place.context is not None
        context = {name: place.context[name] for name in kind.calls["n_parameters"]}
        yield Part(place.path, kind, place.spec, context, place.n_times, place.times_key)
