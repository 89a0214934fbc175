"""Where two specs differ, and what each difference costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry import Difference, Spec, SpecError, check, differences, dump, parse, with_differences
from zoo.analysis.cost import TOTALS, Device, ModelCost, Precision, cost


@dataclass(frozen=True)
class Change:
    """A key that differs, or a part in whose place another stands."""

    difference: Difference
    alone: ModelCost | None
    """What the first model costs with this change alone; None for what is not the model's, and where it cannot be."""
    joined: str = ""
    """The path of another change of the same part, with which alone it can be made, and which has the cost of both."""
    why_not: str = ""
    """Why it can neither be made alone nor with others of the same part, where that is so."""

    @property
    def path(self) -> str:
        """The dotted path of the key."""
        return self.difference.path


@dataclass(frozen=True)
class Diff:
    """What it takes to come from one spec to another."""

    changes: tuple[Change, ...]
    before: ModelCost
    after: ModelCost

    def __bool__(self) -> bool:
        """Whether they differ."""
        return bool(self.changes)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON: costs are differences from the first model."""
        changes = [
            {
                "path": change.path,
                "before": change.difference.before,
                "after": change.difference.after,
                "alone": None if change.alone is None else added(self.before, change.alone),
                "joined": change.joined or None,
                "why_not": change.why_not or None,
            }
            for change in self.changes
        ]
        totals = {name: {key: getattr(each, key) for key in TOTALS} for name, each in self._both()}
        return {"changes": changes, **totals, "added": added(self.before, self.after)}

    def _both(self) -> list[tuple[str, ModelCost]]:
        return [("before", self.before), ("after", self.after)]


def diff(
    a: Spec,
    b: Spec,
    *,
    batch: int = 1,
    length: int = 512,
    precision: Precision = "fp32",
    device: Device = "cuda",
) -> Diff:
    """The differences from spec a to spec b, runs' or models', and what each costs alone and all together.

    A part of another type is one change, whatever it holds. The rest is as in zoo.cost. A change of a run's task or
    training has no cost here.
    """
    sizes: dict[str, Any] = {"batch": batch, "length": length, "precision": precision, "device": device}
    is_run = hasattr(a, "model") and hasattr(b, "model")
    model: Any = getattr(a, "model", a)
    before, after = cost(a, **sizes), cost(b, **sizes)
    changes = []
    for found in differences(a if is_run else model, b if is_run else getattr(b, "model", b)):
        path = found.path if is_run else f"model.{found.path}".rstrip(".")
        changes.append(found._replace(path=path))
    made = _made(model, [change for change in changes if change.path.startswith("model.")], sizes)
    return Diff(
        tuple(
            made.get(each.path) or Change(each, after if each.path == "model" else None) for each in changes
        ),
        before,
        after,
    )


def _made(model: Spec, changes: Sequence[Difference], sizes: Mapping[str, Any]) -> dict[str, Change]:
    """Each change of a model made alone, or with others of the same part where it takes these, by its path."""
    data, made = dump(model), {}
    parts: dict[str, list[Difference]] = {}
    for change in changes:
        found = _cost_with(model, data, [change], sizes)
        if isinstance(found, ModelCost):
            made[change.path] = Change(change, found)
        else:
            made[change.path] = Change(change, None, why_not=found)
            parts.setdefault(change.path.rpartition(".")[0], []).append(change)
    for together in parts.values():
        first = together[0]
        found = _cost_with(model, data, together, sizes)
        if isinstance(found, ModelCost):
            made[first.path] = Change(first, found)
            made |= {each.path: Change(each, None, joined=first.path) for each in together[1:]}
    return made


def _cost_with(
    model: Spec, data: Any, changes: Sequence[Difference], sizes: Mapping[str, Any]
) -> ModelCost | str:
    """What a model costs with some changes, or why there is none such."""
    inside = [change._replace(path=change.path.removeprefix("model.")) for change in changes]
    try:
        changed = parse(type(model), with_differences(data, inside))
    except SpecError as error:
        return str(error)
    problems = check(changed, "model")
    return "; ".join(map(str, problems)) if problems else cost(changed, **sizes)


def added(before: ModelCost, after: ModelCost) -> dict[str, float | None]:
    """What one model costs more than another, by the names of the totals; None where either is not known."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in TOTALS}
    return {name: None if x is None or y is None else y - x for name, (x, y) in pairs.items()}
