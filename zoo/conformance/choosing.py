"""From names and specs to the parts that laws are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zoo.kinds  # noqa: F401  which lists ours
from registry import Kind, Spec, SpecError, check, kinds, parse, suggest
from registry.problems import Problem
from zoo.conformance.attention import possible_partner
from zoo.conformance.laws import part_of
from zoo.conformance.trials import D, H, Part
from zoo.kinds import NORM


def parts_named(component: str, fields: Mapping[str, Any] | None = None) -> tuple[dict[str, Part], str]:
    """The parts of KIND/NAME that can be tried, by name: its examples and its defaults; and why not the defaults.

    fields, where any are given, make the only part: the component with these.
    Raises: SpecError for an unknown kind or component, one without laws, or one that has neither; for fields that it
        has not, or that cannot be tried.
    """
    kind_name, _, name = component.partition("/")
    kind = next((kind for kind in kinds() if kind.name == kind_name), None)
    if kind is None:
        nearby = suggest(kind_name, [kind.name for kind in kinds()], listed=True)
        raise SpecError([Problem("", f"no kind is called '{kind_name}'", nearby)])
    entry = kind.entry(name)
    if fields:
        given = parse(entry.spec, {"type": name, **fields})
        if refusal := _refusal(kind, given):
            raise SpecError([Problem("", f"{component} cannot be tried at d_model {D} with that: {refusal}")])
        return {component: part_of(kind, given)}, ""
    specs = {f"{component}-{i}": spec for i, spec in enumerate(kind.examples(name))}
    reason = ""
    if required := [key for key, field in entry.spec.model_fields.items() if field.is_required()]:
        reason = f"{', '.join(required)} must be given"
    elif entry.spec() not in specs.values():
        reason = _refusal(kind, entry.spec())
        if not reason:
            specs[f"{component}-defaults"] = entry.spec()
    if not specs:
        text = f"{component} has no examples at its registration, and its defaults cannot be tried: {reason}"
        raise SpecError([Problem("", text)])
    return {name: part_of(kind, spec) for name, spec in specs.items()}, reason


def kind_of(spec: Spec) -> Kind:
    """The kind that a component's spec is registered for. Raises: ValueError for one that is of none."""
    for kind in kinds():
        if spec.type in kind.names() and kind.entry(spec.type).spec is type(spec):
            return kind
    raise ValueError(f"{type(spec).__name__} is registered for no kind")


def _refusal(kind: Kind, spec: Spec) -> str:
    """Why a spec cannot be tried at the sizes of the laws; empty where it can, in some role."""
    given: dict[str, Any] = {"d_model": D, "n_heads": H, "d_k": D // H}
    given["norms"] = (NORM.entry("layer_norm").spec.model_validate({}),) * 3
    reasons = []
    for role in ("self", "causal", "cross") if "role" in (kind.check or ()) else ("",):
        position = possible_partner(spec) if kind.name == "attention" and role != "cross" else None
        context = {**given, "role": role, "position": position}
        problems = check(spec, "", **{key: context[key] for key in kind.check or () if key in context})
        reasons.append(problems[0].message if problems else "")
    return reasons[0] if all(reasons) else ""
