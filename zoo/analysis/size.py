"""How large a model is, from its spec alone: nothing is built, and no layer is visited twice."""

from __future__ import annotations

from registry import Place, Spec
from zoo.assembly.parts import Part, counted_parts
from zoo.kinds import MODEL


def parts_of(model: Spec, path: str = "model") -> list[Part]:
    """The parts of a model; one that does not say that it is no more than their sum is a part itself."""
    if not getattr(model, "is_sum_of_parts", False):
        return [Part(path, MODEL, model, {})]
    return list(counted_parts(Place(path, model, context={})))


def n_parameters(model: Spec) -> int:
    """The number of a model's parameters, trained and frozen, tied ones once, by the formulas of its parts."""
    return sum(part.n_parameters for part in parts_of(model))
