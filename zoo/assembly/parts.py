"""The parts of a model by their place in its spec, each form once however often it is repeated: for counting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from registry import Kind, Place, Spec
from zoo.costs import Cost, cost
from zoo.sizes import Batch, n_kept, n_parameters


@dataclass(frozen=True)
class Part:
    """A component at a place of a spec."""

    path: str
    kind: Kind
    spec: Spec
    context: Mapping[str, Any]
    """What is known there, by name: of it the kind's methods of size and cost are told what they list."""
    n_times: int = 1
    """Modules of this form, each with weights of its own."""
    times_key: str = ""
    """The key that says how many."""
    n_passes: int = 1
    """How often each is gone through, with the same weights."""

    @property
    def n_parameters(self) -> int:
        """The values of all of them."""
        return self.n_times * n_parameters(self.kind, self.spec, **self._told("n_parameters"))

    def n_kept(self, *, batch: Batch) -> int:
        """What a training step keeps of all of them, in values: see zoo.sizes."""
        return (
            self.n_times * self.n_passes * n_kept(self.kind, self.spec, batch=batch, **self._told("n_kept"))
        )

    def cost(self, *, batch: Batch) -> Cost:
        """What one of them costs: see zoo.costs."""
        return cost(self.kind, self.spec, batch=batch, **self._told("cost"))

    def _told(self, method: str) -> dict[str, Any]:
        return {name: self.context[name] for name in self.kind.calls.get(method, ()) if name != "batch"}


def counted_parts(place: Place) -> Iterator[Part]:
    """The parts within a place whose kind says how they are counted, those that are a piece of another left out."""
    kind = place.kind
    if kind is None or "n_parameters" not in kind.calls:
        for inside in place.parts():
            yield from counted_parts(inside)
    elif place.n_times:
        assert place.context is not None
        yield Part(
            place.path, kind, place.spec, place.context, place.n_times, place.times_key, place.n_passes
        )
