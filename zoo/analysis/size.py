"""How large a model is, from its spec alone: nothing is built, and no layer is visited twice."""

from __future__ import annotations

from typing import Any

from registry import Spec
from zoo.assembly.parts import Part
from zoo.kinds import MODEL


def parts_of(model: Spec, path: str = "model") -> list[Part]:
    """The parts of a model; one of a plugin's, which lists none, is a part itself."""
    listed: Any = getattr(model, "parts", None)
    return [Part(path, MODEL, model, {})] if listed is None else list(listed(path))


def n_parameters(model: Spec) -> int:
    """The number of a model's parameters, trained and frozen, tied ones once, by the formulas of its parts."""
    return sum(part.n_parameters for part in parts_of(model))
